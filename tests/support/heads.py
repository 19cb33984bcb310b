"""Models whose heads are learnt: frozen random features of pictures, of tokens, of sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from streamer.models import Version
from streamer.models.version import load_version

_UNITS = 48
SIDE = 24


def picture_model(folder: Path, labels: Sequence[str], **changed: Any) -> Version:
    """A classifier of small pictures: random filters, the strongest answer of each, a head."""
    rng = np.random.default_rng(0)
    filters = rng.normal(size=(_UNITS, 3, 7, 7)).astype(np.float32)
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
    nodes = [
        helper.make_node("Conv", ["pixels", "filters"], ["found"], strides=[2, 2]),
        helper.make_node("Relu", ["found"], ["above"]),
        helper.make_node("GlobalMaxPool", ["above"], ["strongest"]),
        helper.make_node("GlobalAveragePool", ["above"], ["mean"]),
        helper.make_node("Concat", ["strongest", "mean"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["features"]),
        helper.make_node("Gemm", ["features", "W", "b"], ["logits"], transB=1),
    ]
    picture = {
        "kind": "image",
        "channels": "RGB",
        "size": {"height": SIDE, "width": SIDE},
        "rescale_factor": 1 / 255,
    }
    manifest = {"task": "image-classification", "inputs": {"pixels": picture}, **changed}
    weights = {
        "filters": filters,
        "W": rng.normal(scale=0.01, size=(len(labels), 2 * _UNITS)),
        "b": np.zeros(len(labels)),
    }
    shapes = {"pixels": (TensorProto.FLOAT, ["N", 3, SIDE, SIDE])}
    return _version(folder, nodes, shapes, ["N", len(labels)], weights, labels, manifest)


def halves_model(folder: Path) -> Version:
    """A detector that finds the same in every picture: its left half and its right one."""
    folder.mkdir(parents=True)
    found = [[0, 0, SIDE, SIDE, 0.9, 0], [SIDE, 0, 2 * SIDE, SIDE, 0.8, 0]]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["mean"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Unsqueeze", ["one", "last"], ["each"]),
        helper.make_node("Mul", ["each", "nothing"], ["empty"]),
        helper.make_node("Add", ["empty", "found"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, 2 * SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, 6])],
        [
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
            numpy_helper.from_array(np.array([found], np.float32), "found"),
        ],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(made, folder / "model.onnx")
    picture = {"kind": "image", "size": {"height": SIDE, "width": 2 * SIDE}}
    manifest = {
        "name": folder.name,
        "version": "1",
        "task": "object-detection",
        "id2label": {0: "half"},
        "inputs": {"images": picture},
        "outputs": {"logits": {"decode": "detections"}},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return load_version(str(folder), beside=folder, models_dir=folder)


def tag_model(folder: Path, labels: Sequence[str], words: Sequence[str]) -> Version:
    """A tagger: a random vector a word, and a head on each."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["features"]),
        helper.make_node("MatMul", ["features", "W"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["logits"]),
    ]
    weights = {
        "vectors": rng.normal(size=(len(words) + 1, _UNITS)),
        "W": rng.normal(scale=0.01, size=(_UNITS, len(labels))),
        "b": np.zeros(len(labels)),
    }
    manifest = {"task": "token-classification", "inputs": {"text": _text()}}
    _tokenizer(folder, words)
    shapes = {"input_ids": (TensorProto.INT64, ["N", "L"])}
    return _version(folder, nodes, shapes, ["N", "L", len(labels)], weights, labels, manifest)


def words_model(
    folder: Path, labels: Sequence[str], words: Sequence[str], **changed: Any
) -> Version:
    """A classifier of texts by the mean of a random vector a word."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["features"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["features", "W", "b"], ["logits"], transB=1),
    ]
    weights = {
        "vectors": rng.normal(size=(len(words) + 1, _UNITS)),
        "W": rng.normal(scale=0.01, size=(len(labels), _UNITS)),
        "b": np.zeros(len(labels)),
    }
    manifest = {"task": "text-classification", "inputs": {"text": _text()}, **changed}
    _tokenizer(folder, words)
    shapes = {"input_ids": (TensorProto.INT64, ["N", "L"])}
    return _version(folder, nodes, shapes, ["N", len(labels)], weights, labels, manifest)


def sentence_model(folder: Path, words: Sequence[str]) -> Version:
    """An embedder: a random vector a word, averaged."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Gather", ["vectors", "input_ids"], ["logits"])]
    weights = {"vectors": rng.normal(size=(len(words) + 1, _UNITS))}
    manifest = {
        "task": "sentence-similarity",
        "inputs": {"text": _text()},
        "outputs": {"logits": {"decode": "embedding", "pooling": "mean"}},
    }
    _tokenizer(folder, words)
    shapes = {"input_ids": (TensorProto.INT64, ["N", "L"])}
    return _version(folder, nodes, shapes, ["N", "L", _UNITS], weights, (), manifest)


def _text() -> dict[str, Any]:
    tensors = {"input_ids": "ids"}
    return {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 32, "tensors": tensors}


def _tokenizer(folder: Path, words: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    known = {word: at for at, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))  # noqa: S106 - a token of words
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def _version(  # noqa: PLR0917 - the parts of a model
    folder: Path,
    nodes: Sequence[Any],
    inputs: dict[str, Any],
    output: Sequence[Any],
    weights: dict[str, Any],
    labels: Sequence[str],
    manifest: dict[str, Any],
) -> Version:
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info(name, *shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.float32(value), name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(made, folder / "model.onnx")
    told = {"name": folder.name, "version": "1", "outputs": {"logits": {"decode": "logits"}}}
    if labels:
        told["id2label"] = dict(enumerate(labels))
    (folder / "model.yaml").write_text(yaml.safe_dump({**told, **manifest}, sort_keys=False))
    return load_version(str(folder), beside=folder, models_dir=folder)
