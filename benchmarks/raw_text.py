"""The best that ONNX Runtime gives for texts in memory, written by hand: no streamer in it.

All texts are tokenised in one call and sorted by length over all of them, batches run on sessions
that share the cores; how many items, sessions and threads is tried first. `python -m
benchmarks.raw_text MODEL COUNT [PLAN]` prints texts a second; without a plan it finds the best.
"""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks import inputs
from streamer.runtime import usable_cores

_MAX_TOKENS = 128
_TRIED_TEXTS = 384


def opened(folder: Path, sessions: int, threads: int) -> list[Any]:
    """Open sessions that share the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    found = []
    for _ in range(sessions):
        session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        found.append(session)
    return found


def embedded(
    texts: Sequence[bytes], tokenizer: Tokenizer, sessions: Sequence[Any], items: int
) -> NDArray[np.float32]:
    """Embed texts: mean over the tokens, length 1."""
    encodings = tokenizer.encode_batch_fast([text.decode() for text in texts])
    order = sorted(range(len(encodings)), key=lambda at: -len(encodings[at].ids))
    batches = [order[at : at + items] for at in range(0, len(order), items)]
    vectors = np.empty((len(texts), 384), np.float32)

    def run(work: tuple[list[int], Any]) -> None:
        batch, session = work
        longest = len(encodings[batch[0]].ids)
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros((len(batch), longest), np.int64)
        for row, at in enumerate(batch):
            length = len(encodings[at].ids)
            ids[row, :length] = encodings[at].ids
            mask[row, :length] = 1
        feeds = {"input_ids": ids, "attention_mask": mask}
        if any(given.name == "token_type_ids" for given in session.get_inputs()):
            feeds["token_type_ids"] = np.zeros_like(ids)
        [tokens] = session.run(None, feeds)[:1]
        means = np.matmul(mask[:, None].astype(np.float32), tokens)[:, 0]
        vectors[batch] = means / np.linalg.norm(means, axis=1, keepdims=True)

    if len(sessions) == 1:
        for batch in batches:
            run((batch, sessions[0]))
        return vectors
    with ThreadPoolExecutor(len(sessions)) as pool:  # a thread a session: each takes its own
        free = cycle(sessions)
        list(pool.map(run, [(batch, next(free)) for batch in batches]))
    return vectors


def best_plan(folder: Path, tokenizer: Tokenizer) -> tuple[int, int, int]:
    """Try sessions, threads and items; give the fastest."""
    cores = usable_cores()
    texts = inputs.texts(_TRIED_TEXTS, seed=1)
    rates = {}
    for sessions, threads in {(1, cores), (cores, 1)}:
        loaded = opened(folder, sessions, threads)
        for items in (2, 4, 8, 16, 32):
            embedded(texts[:64], tokenizer, loaded, items)
            began = time.perf_counter()
            embedded(texts, tokenizer, loaded, items)
            rates[sessions, threads, items] = len(texts) / (time.perf_counter() - began)
    return max(rates, key=lambda plan: rates[plan])


def main(folder: str, count: str, plan: str | None = None) -> None:
    """Print the plan and the rate."""
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    sessions, threads, items = (
        map(int, plan.split(",")) if plan else best_plan(Path(folder), tokenizer)
    )
    loaded = opened(Path(folder), sessions, threads)
    texts = inputs.texts(int(count))
    embedded(texts[:64], tokenizer, loaded, items)
    began, worked = time.perf_counter(), time.process_time()
    embedded(texts, tokenizer, loaded, items)
    rate = len(texts) / (time.perf_counter() - began)
    cpu_ms = (time.process_time() - worked) / len(texts) * 1000
    print(json.dumps({"plan": f"{sessions},{threads},{items}", "rate": rate, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
