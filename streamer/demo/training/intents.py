"""Make `intents`, the classifier of support messages.

    python -m streamer.demo.training.intents

A small network (two attention layers of width 128 on frozen, 8-bit word vectors) learns from
generated messages what they are about and, for these and for variants with other words, to imitate
the sentence vectors and the judgement of all-MiniLM-L6-v2: so it also reads words that no template
has. It is measured on the messages written by hand, which neither it nor its teacher has seen.
Takes about a quarter of an hour on 2 cores and needs the `train` extra.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional

from streamer.demo.messages import held_out, labels
from streamer.demo.training.embedder import principal_components
from streamer.demo.training.intent_examples import MAX_LENGTH, Examples, examples
from streamer.demo.training.intent_network import IntentNetwork
from streamer.demo.training.minilm import MiniLM, padded, word_piece_tokenizer
from streamer.demo.training.text_graph import OPSET, halve_constants, quantised_rows
from streamer.demo.training.text_version import MODELS, write_manifest

_SCRIPT = "streamer.demo.training.intents"
_SEED = 0
_FREQUENT = 16000
"""The vocabulary keeps the ASCII pieces among this many most frequent ones."""
_DIMENSIONS = 128
_BATCH = 128
_MASKED = 0.05
"""Share of word pieces hidden from the network while it learns."""


def main() -> None:
    """Train, write the version, and measure the files written."""
    parser = argparse.ArgumentParser(description="Make the demo's classifier of messages.")
    parser.add_argument("--output", type=Path, default=MODELS / "intents" / "1")
    parser.add_argument("--per-label", type=int, default=1200)
    parser.add_argument("--variants", type=int, default=1, help="of each message")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    teacher = MiniLM()
    tokens = teacher.token_vectors()
    lessons = examples(teacher, tokens, options.per_label, options.variants, _SEED)
    print(f"{len(lessons.texts)} texts, {lessons.known} of them with a sure label", flush=True)
    make(options.output, teacher.pieces, tokens, lessons, options.epochs)


def make(
    folder: Path,
    pieces: Sequence[str],
    tokens: NDArray[np.float32],
    lessons: Examples,
    epochs: int,
) -> None:
    """Cut the vocabulary, train the network on the lessons, write the version and measure it."""
    torch.manual_seed(_SEED)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(mode=True)
    kept = [
        at
        for at, piece in enumerate(pieces[:_FREQUENT])
        if piece.isascii() and not piece.startswith("[unused")
    ]
    tokenizer = word_piece_tokenizer([pieces[at] for at in kept])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    table = principal_components(tokens, _DIMENSIONS)[kept]
    quantised, scales = quantised_rows(table / table.std())
    network = IntentNetwork(
        torch.from_numpy(quantised), torch.from_numpy(scales), labels=len(labels())
    )
    train(network, tokenizer, lessons, epochs)
    _export(network, folder / "model.onnx")
    metrics = _measured(folder)
    print(metrics)
    keys = {
        "task": "text-classification",
        "id2label": dict(enumerate(labels())),
        "problem_type": "single_label_classification",
        "outputs": {"logits": {"decode": "logits"}},
        "metrics": metrics,
    }
    write_manifest(folder, _SCRIPT, keys, MAX_LENGTH)


def train(network: IntentNetwork, tokenizer: Tokenizer, lessons: Examples, epochs: int) -> None:
    """Fit the network to the sure labels, and to the teacher's vectors and probabilities."""
    tokenizer.enable_truncation(MAX_LENGTH)
    sequences = [found.ids for found in tokenizer.encode_batch(lessons.texts)]
    vectors, log_odds = torch.from_numpy(lessons.vectors), torch.from_numpy(lessons.log_odds)
    classes = torch.full((len(sequences),), -1)
    classes[: lessons.known] = torch.from_numpy(lessons.classes)
    hidden, first_word = tokenizer.token_to_id("[MASK]"), tokenizer.token_to_id("the")
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, epochs * (len(sequences) // _BATCH), pct_start=0.1
    )
    random = np.random.default_rng(_SEED)
    network.train()
    for epoch in range(epochs):
        losses = []
        for places in _batches([len(sequence) for sequence in sequences], random):
            ids, mask = padded([sequences[at] for at in places])
            ids[(torch.rand(ids.shape) < _MASKED) & (ids >= first_word)] = hidden
            sentence = network.sentence(ids, mask)
            logits = network.head(sentence * 8)
            apart = 1 - (sentence * vectors[places]).sum(1).mean()
            odds = functional.kl_div(
                logits.log_softmax(1), log_odds[places], log_target=True, reduction="batchmean"
            )
            known = functional.cross_entropy(
                logits, classes[places], ignore_index=-1, reduction="sum"
            )
            loss = 4 * apart + odds + 0.5 * known / _BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append([apart.item(), odds.item()])
        apart_mean, odds_mean = np.mean(losses, axis=0)
        print(f"epoch {epoch}: distance {apart_mean:.3f}, divergence {odds_mean:.3f}", flush=True)
    network.eval()


def _batches(lengths: list[int], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Deal the texts into full batches of about one length, in random order."""
    order = np.argsort(np.array(lengths) + 3 * random.random(len(lengths)))
    full = order[: len(order) // _BATCH * _BATCH].reshape(-1, _BATCH)
    random.shuffle(full)
    yield from full


def _export(network: IntentNetwork, path: Path) -> None:
    """Write the network as ONNX, batch and length free, its trained weights in half precision."""
    ids, mask = padded([[2, 7, 9, 3], [2, 3]])
    torch.onnx.export(
        network,
        (ids, mask),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "length"},
            "attention_mask": {0: "batch", 1: "length"},
            "logits": {0: "batch"},
        },
        opset_version=OPSET,
        dynamo=False,
    )
    halve_constants(path)


def _measured(folder: Path) -> dict[str, object]:
    """Answer the messages written by hand with the files as shipped."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    right: Counter[str] = Counter()
    for message in held_out():
        ids = np.array([tokenizer.encode(message.text).ids])
        [logits] = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        right[message.label] += labels()[int(logits[0].argmax())] == message.label
    asked = Counter(message.label for message in held_out())
    return {
        "accuracy": round(right.total() / asked.total(), 4),
        "held_out_messages": asked.total(),
        "recall": {label: round(right[label] / asked[label], 3) for label in labels()},
    }


if __name__ == "__main__":
    main()
