"""Encoders of texts against transformers' own pipelines: the same weights, the same answers."""

from itertools import pairwise
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import yaml
from parity.asked import Asked
from parity.exports import exported
from parity.made_encoders import Made, each_logits, fed, made
from parity.made_tokenizers import HELD_BACK, SENTENCES
from parity.text_cases import CLASSIFIERS, EMBEDDERS, ENTAILERS, FEATURES, PAIRS, TAGGERS

from streamer.errors import ModelError
from streamer.models import load_version
from streamer.records import Pair, Text

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
LABELS = ("billing", "travel", "sport", "weather", "news")
TEXTS = (*SENTENCES, *HELD_BACK)
TOLERANCE = 1e-4
FELT = 0.01
BATCHES = (1, 3, 8)
# They look at a token's neighbours, padding among them: only equal lengths run together.
READ_PADDING = ("MobileBERT", "ConvBERT")
# torch.onnx writes lengths of the example into these graphs, whichever exporter is taken.
RUN_AS_EXPORTED_ONLY = ("Funnel", "Longformer")


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def difference(one: Any, other: Any) -> float:
    return float(np.max(np.abs(np.asarray(one) - np.asarray(other))))


@pytest.fixture
def ask() -> Any:
    """Opens models; they are closed at the end."""
    opened: list[Asked] = []

    def opener(folder: Path, task: str, **options: Any) -> Asked:
        opened.append(Asked(folder, task, **options))
        return opened[-1]

    yield opener
    for asked in opened:
        asked.close()


def from_its_tensors(
    asked: Asked, model: Made, texts: Any, output: str = "logits", *, padded: bool = True
) -> float:
    """Give the largest difference where the reference's own tensors are fed, by several batches.

    Each batch is compared with the texts alone: a model that hears its neighbours is found, too.
    One that would read the padding gets batches of one text.
    """
    import torch

    largest = 0.0
    padded = padded and "attention_mask" in asked.session.inputs
    for size in BATCHES:
        some = list(texts[:size]) if padded else [texts[0]] * size
        parts = zip(*some, strict=True) if isinstance(some[0], tuple) else (some,)
        given = model.tokenizer(*map(list, parts), return_tensors="pt", padding=True)
        alone = []
        with torch.no_grad():
            for text in some:
                parts = text if isinstance(text, tuple) else (text,)
                one = fed(model.module, model.tokenizer(*parts, return_tensors="pt"))
                alone.append(model.module(**one)[output][0].numpy())
        came = asked.outputs(given)[output]
        mask = given["attention_mask"].numpy().astype(bool)
        for row, expected, kept in zip(came, alone, mask, strict=True):
            largest = max(largest, difference(row[kept] if row.ndim == 2 else row, expected))
    return largest


def over_onnx(  # noqa: PLR0917 - what is exported and how it is opened
    name: str, model: Made, to: Path, output: str, ask: Any, task: str, **options: Any
) -> Any:
    """Export a model and open it; the exporter's reason where it does not go."""
    given = fed(
        model.module, model.tokenizer(list(SENTENCES[:2]), return_tensors="pt", padding=True)
    )
    try:
        folder = exported(model.module, dict(given), output, model.folder, to)
    except Exception as error:  # noqa: BLE001 - whatever the exporter raises is its reason
        return f"no export: {type(error).__name__}"
    if name in RUN_AS_EXPORTED_ONLY:
        with pytest.raises(ModelError, match="does not run"):
            ask(folder, task, **options)
        return "the export holds to its example's length"
    return ask(folder, task, **options)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_texts_are_classified_as_by_transformers(name, ask, tmp_path, parity_row):
    import transformers

    model = made(name, "AutoModelForSequenceClassification", LABELS, TEXTS, tmp_path / "m")
    pipeline = transformers.pipeline(
        "text-classification", model=model.module, tokenizer=model.tokenizer, device="cpu"
    )
    expected = pipeline(list(TEXTS), top_k=len(LABELS))
    alike = {"top_k": len(LABELS), "deterministic": name in READ_PADDING}
    asked = ask(model.folder, "text-classification", **alike)
    check_classes(asked.answers([Text(text) for text in TEXTS]), expected)
    padded = name not in READ_PADDING
    torch = from_its_tensors(asked, model, TEXTS, padded=padded)
    assert torch <= TOLERANCE

    onnx = over_onnx(name, model, tmp_path / "onnx", "logits", ask, "text-classification", **alike)
    if isinstance(onnx, Asked):
        check_classes(onnx.answers([Text(text) for text in TEXTS]), expected)
        onnx = from_its_tensors(onnx, model, TEXTS, padded=padded)
        assert onnx <= TOLERANCE

    parity_row(
        name,
        "text-classification",
        torch=torch,
        onnx=onnx,
        end_to_end="labels equal, scores to 1e-4" + ("" if padded else "; `deterministic: true`"),
        breaks={"a token dropped": without_a_token(asked, model)},
    )


def check_classes(answers: Any, expected: Any) -> None:
    for answer, other in zip(answers, expected, strict=True):
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in other]
        scores = [entry["score"] for entry in answer]
        assert scores == pytest.approx([entry["score"] for entry in other], abs=TOLERANCE)


def without_a_token(asked: Asked, model: Made, output: str = "logits") -> float:
    """Drop each text's third token on the way in: answers must be off."""
    off = []
    for text in SENTENCES:
        given = {
            name: tensor.numpy()
            for name, tensor in model.tokenizer(text, return_tensors="pt").items()
        }
        less = {name: np.delete(tensor, 2, axis=1) for name, tensor in given.items()}
        right, wrong = (asked.outputs(feeds)[output] for feeds in (given, less))
        if right.ndim == 3:
            right = np.delete(right, 2, axis=1)
        off.append(difference(softmax(right), softmax(wrong)))
    assert max(off) > FELT
    return max(off)


STARTS = tuple(" ".join(sentence.split()[:6]) for sentence in SENTENCES)
PAIRED = tuple(zip(STARTS, (HELD_BACK[3], *STARTS[-1:0:-1]), strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_classified_as_by_transformers(name, ask, tmp_path, parity_row):
    import transformers

    model = made(name, "AutoModelForSequenceClassification", LABELS, PAIRED, tmp_path / "m")
    pipeline = transformers.pipeline(
        "text-classification", model=model.module, tokenizer=model.tokenizer, device="cpu"
    )
    given = [{"text": first, "text_pair": second} for first, second in PAIRED]
    expected = pipeline(given, top_k=len(LABELS))
    asked = ask(model.folder, "text-classification", top_k=len(LABELS), pair=True)
    check_classes(asked.answers([Pair(*pair) for pair in PAIRED]), expected)
    torch = from_its_tensors(asked, model, PAIRED)
    assert torch <= TOLERANCE

    onnx = over_onnx(
        name, model, tmp_path / "onnx", "logits", ask, "text-classification", top_k=5, pair=True
    )
    if isinstance(onnx, Asked):
        check_classes(onnx.answers([Pair(*pair) for pair in PAIRED]), expected)
        onnx = from_its_tensors(onnx, model, PAIRED)
        assert onnx <= TOLERANCE

    swapped = asked.answers([Pair(second, first) for first, second in PAIRED])
    parity_row(
        name,
        "text-classification of pairs",
        torch=torch,
        onnx=onnx,
        end_to_end="labels equal, scores to 1e-4",
        breaks={
            "a token dropped": without_a_token(asked, model),
            "sentences swapped": felt(by_label(swapped), by_label(expected)),
        },
    )


def by_label(answers: Any) -> Any:
    """Give the scores of answers in the order of the labels."""
    return [
        [entry["score"] for entry in sorted(answer, key=lambda entry: entry["label"])]
        for answer in answers
    ]


def felt(right: Any, wrong: Any) -> float:
    """Give by how much a mistake shows; it must."""
    off = difference(right, wrong)
    assert off > FELT
    return off


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
STRATEGIES = ("none", "simple", "first", "average", "max")


@pytest.mark.parametrize("name", TAGGERS)
def test_entities_are_those_of_transformers(name, ask, tmp_path, parity_row):
    import transformers

    model = made(name, "AutoModelForTokenClassification", TAGS, TEXTS, tmp_path / "m")
    pipeline = transformers.pipeline(
        "token-classification", model=model.module, tokenizer=model.tokenizer, device="cpu"
    )
    for strategy in STRATEGIES:
        asked = ask(model.folder, "token-classification", aggregation_strategy=strategy)
        answers = asked.answers([Text(text) for text in TEXTS])
        check_entities(answers, pipeline(list(TEXTS), aggregation_strategy=strategy))
    torch = from_its_tensors(asked, model, TEXTS)
    assert torch <= TOLERANCE

    onnx = over_onnx(name, model, tmp_path / "onnx", "logits", ask, "token-classification")
    if isinstance(onnx, Asked):
        answers = onnx.answers([Text(text) for text in TEXTS])
        check_entities(answers, pipeline(list(TEXTS), aggregation_strategy="simple"))
        onnx = from_its_tensors(onnx, model, TEXTS)
        assert onnx <= TOLERANCE

    parity_row(
        name,
        "token-classification",
        torch=torch,
        onnx=onnx,
        end_to_end="entities of all five strategies equal, scores to 1e-4",
        breaks={"a token dropped": without_a_token(asked, model)},
    )


def check_entities(answers: Any, expected: Any) -> None:
    assert any(answers)
    for answer, other in zip(answers, expected, strict=True):
        told = [{**entity, "score": 0} for entity in answer]
        assert told == [{**entity, "score": 0} for entity in other]
        scores = [entity["score"] for entity in answer]
        assert scores == pytest.approx([entity["score"] for entity in other], abs=TOLERANCE)


def test_long_texts_are_read_in_pieces_as_by_transformers(ask, tmp_path):
    import transformers

    model = made("BERT", "AutoModelForTokenClassification", TAGS, TEXTS, tmp_path / "m")
    pipeline = transformers.pipeline(
        "token-classification",
        model=model.module,
        tokenizer=model.tokenizer,
        device="cpu",
        aggregation_strategy="simple",
        stride=16,
    )
    long = " ".join(SENTENCES[:8])
    cut = ask(model.folder, "token-classification").answers([Text(long)])
    assert max(entity["end"] for entity in cut[0]) < len(long) // 2

    asked = ask(described(model.folder, "token-classification", stride=16), "token-classification")
    answers = asked.answers([Text(long), Text(TEXTS[0])])
    check_entities(answers, [pipeline(long), pipeline(TEXTS[0])])
    assert max(entity["end"] for entity in answers[0]) > len(long) // 2


def described(folder: Path, task: str, **text: Any) -> Path:
    """Write the manifest that is read off a folder, with changes to its text input, beside it."""
    version = load_version(str(folder), beside=folder, models_dir=folder, task=task)
    content = version.manifest.model_dump(mode="json", exclude_defaults=True)
    (name,) = content["inputs"]
    content["inputs"][name].update({"kind": "text", **text})
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


ENTAILMENT = ("contradiction", "neutral", "entailment")
TOPICS = ("food", "sport", "travel", "money")
FEW = STARTS[:12]
TEMPLATE = "This text is about {}."


@pytest.mark.parametrize("name", ENTAILERS)
def test_unseen_labels_are_ranked_as_by_transformers(name, ask, tmp_path, parity_row):
    import transformers

    pairs = [(text, TEMPLATE.format(topic)) for text in FEW for topic in TOPICS]
    kind = "AutoModelForSequenceClassification"
    model = made(name, kind, ENTAILMENT, pairs, tmp_path / "m", several_win)
    pipeline = transformers.pipeline(
        "zero-shot-classification", model=model.module, tokenizer=model.tokenizer, device="cpu"
    )
    options = {"candidate_labels": TOPICS, "hypothesis_template": TEMPLATE}
    task = "zero-shot-classification"
    for multi_label in (True, False):
        asked = ask(model.folder, task, multi_label=multi_label, **options)
        expected = pipeline(
            list(FEW),
            candidate_labels=list(TOPICS),
            hypothesis_template=TEMPLATE,
            multi_label=multi_label,
        )
        check_ranks(asked.answers([Text(text) for text in FEW]), expected)
    torch = from_its_tensors(asked, model, pairs)
    assert torch <= TOLERANCE

    onnx = over_onnx(name, model, tmp_path / "onnx", "logits", ask, task, **options)
    if isinstance(onnx, Asked):
        check_ranks(onnx.answers([Text(text) for text in FEW]), expected)
        onnx = from_its_tensors(onnx, model, pairs)
        assert onnx <= TOLERANCE

    other = ask(model.folder, task, candidate_labels=TOPICS, hypothesis_template="{}")
    wrong = other.answers([Text(text) for text in FEW])
    parity_row(
        name,
        task,
        torch=torch,
        onnx=onnx,
        end_to_end="labels equal, one or several, scores to 1e-4",
        breaks={
            "a token dropped": without_a_token(asked, model),
            "another hypothesis": felt(by_topic(wrong), by_topic(expected)),
        },
    )


def several_win(module: Any, tokenizer: Any) -> bool:
    """Whether three topics or more win, each for itself or one of all: over the tensors alone."""
    import torch

    with torch.no_grad():
        rows = [
            each_logits(module, tokenizer, (text, TEMPLATE.format(topic)))[0]
            for text in FEW
            for topic in TOPICS
        ]
    logits = torch.stack(rows).reshape(len(FEW), len(TOPICS), len(ENTAILMENT))
    alone, of_all = logits[..., 2] - logits[..., 0], logits[..., 2]
    return all(len(set(told.argmax(1).tolist())) >= 3 for told in (alone, of_all))


def check_ranks(answers: Any, expected: Any) -> None:
    """Compare scores by topic, and the order where they are further apart than may be."""
    assert len({other["labels"][0] for other in expected}) >= 3
    assert difference(by_topic(answers), by_topic(expected)) <= TOLERANCE
    for answer, other in zip(answers, expected, strict=True):
        assert answer["scores"] == sorted(answer["scores"], reverse=True)
        best, second = other["scores"][:2]
        assert best - second <= TOLERANCE or answer["labels"][0] == other["labels"][0]


def by_topic(answers: Any) -> Any:
    ranked = [dict(zip(answer["labels"], answer["scores"], strict=True)) for answer in answers]
    return [[scores[topic] for topic in TOPICS] for scores in ranked]


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_those_of_transformers(name, ask, tmp_path, parity_row):
    import transformers

    model = made(name, "AutoModel", (), TEXTS, tmp_path / "m")
    pipeline = transformers.pipeline(
        "feature-extraction", model=model.module, tokenizer=model.tokenizer, device="cpu"
    )
    expected = [pipeline(text)[0] for text in TEXTS]
    asked = ask(model.folder, "feature-extraction")
    check_vectors(asked.answers([Text(text) for text in TEXTS]), expected)
    output = "last_hidden_state"
    torch = from_its_tensors(asked, model, TEXTS, output)
    assert torch <= TOLERANCE

    onnx = over_onnx(name, model, tmp_path / "onnx", output, ask, "feature-extraction")
    if isinstance(onnx, Asked):
        check_vectors(onnx.answers([Text(text) for text in TEXTS]), expected)
        onnx = from_its_tensors(onnx, model, TEXTS, output)
        assert onnx <= TOLERANCE

    parity_row(
        name,
        "feature-extraction",
        torch=torch,
        onnx=onnx,
        end_to_end="vectors of all tokens to 1e-4",
        breaks={"a token dropped": without_a_token(asked, model, output)},
    )


def check_vectors(answers: Any, expected: Any) -> None:
    for answer, other in zip(answers, expected, strict=True):
        assert difference(answer, other) <= TOLERANCE


@pytest.mark.parametrize("name", EMBEDDERS)
def test_sentences_are_embedded_as_by_sentence_transformers(name, ask, tmp_path, parity_row):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    model = made(name, "AutoModel", (), TEXTS, tmp_path / "m")
    modules = [Transformer(str(model.folder)), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "st"))
    reference = SentenceTransformer(str(tmp_path / "st"), device="cpu")
    vectors = reference.encode(list(TEXTS))
    expected = np.sum(vectors[:-1] * vectors[1:], axis=1)
    pairs = [Pair(*pair) for pair in pairwise(TEXTS)]

    features = ask(tmp_path / "st", "feature-extraction").answers([Text(text) for text in TEXTS])
    check_vectors(features, vectors)
    asked = ask(tmp_path / "st", "sentence-similarity")
    scores = [answer["score"] for answer in asked.answers(pairs)]
    assert difference(scores, expected) <= TOLERANCE
    output = "last_hidden_state"
    torch = from_its_tensors(asked, model, TEXTS, output)
    assert torch <= TOLERANCE

    other = Made(tmp_path / "st", model.module, model.tokenizer)
    copytree(tmp_path / "st" / "1_Pooling", tmp_path / "onnx" / "1_Pooling")
    onnx = over_onnx(name, other, tmp_path / "onnx", output, ask, "sentence-similarity")
    if isinstance(onnx, Asked):
        came = [answer["score"] for answer in onnx.answers(pairs)]
        assert difference(came, expected) <= TOLERANCE
        onnx = from_its_tensors(onnx, model, TEXTS, output)
        assert onnx <= TOLERANCE

    (tmp_path / "st" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    wrong = [
        answer["score"] for answer in ask(tmp_path / "st", "sentence-similarity").answers(pairs)
    ]
    parity_row(
        name,
        "sentence-similarity",
        torch=torch,
        onnx=onnx,
        end_to_end="vectors and cosines of sentence-transformers to 1e-4",
        breaks={
            "a token dropped": without_a_token(asked, model, output),
            "another pooling": felt(wrong, expected),
        },
    )
