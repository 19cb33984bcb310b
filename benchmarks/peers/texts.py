"""What the peers of the text benchmarks do: a tokenizer, a session, and an answer as JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

_MAX_TOKENS = 128
_ITEMS = 16


class Texts:
    """all-MiniLM-L6-v2 on ONNX Runtime, with all cores for one run."""

    def __init__(self, folder: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self.found([b"warm up"])

    def found(self, values: Sequence[bytes]) -> NDArray[np.float32]:
        """Embed texts in one batch, padded to the longest."""
        encodings = self._tokenizer.encode_batch([value.decode() for value in values])
        ids = np.array([one.ids for one in encodings], np.int64)
        mask = np.array([one.attention_mask for one in encodings], np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        [tokens] = self._session.run(None, feeds)[:1]
        means = np.matmul(mask[:, None].astype(np.float32), tokens)[:, 0]
        found: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return found

    def found_alike(self, values: Sequence[bytes]) -> list[NDArray[np.float32]]:
        """Embed texts in batches of like length."""
        order = sorted(range(len(values)), key=lambda at: -len(values[at]))
        found: list[Any] = [None] * len(values)
        for begin in range(0, len(order), _ITEMS):
            batch = order[begin : begin + _ITEMS]
            for at, vector in zip(batch, self.found([values[at] for at in batch]), strict=True):
                found[at] = vector
        return found

    @staticmethod
    def written(found: NDArray[np.float32]) -> bytes:
        """Write an answer."""
        return json.dumps({"output": found.tolist()}).encode()
