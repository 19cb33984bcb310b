"""Models of a few numbers, built in code, and records for them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

COLOURS = ("red", "green", "blue")
WORDS = ("[UNK]", "[PAD]", "good", "bad", "fine", "awful")
_DIMENSION = 8


def picture_model(models: Path, name: str = "colours", **changed: Any) -> Path:
    """A classifier whose label is a picture's strongest colour."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["logits"], axes=[2, 3], keepdims=0),
    ]
    manifest = {
        "name": name,
        "version": "1",
        "task": "image-classification",
        "id2label": dict(enumerate(COLOURS)),
        "inputs": {
            "pixels": {
                "kind": "image",
                "channels": "RGB",
                "size": {"height": 16, "width": 16},
                "rescale_factor": 1 / 32,
            }
        },
        "outputs": {"logits": {"decode": "logits"}},
        **changed,
    }
    graph = _graph(
        nodes,
        {"pixels": (TensorProto.FLOAT, ["N", 3, 16, 16])},
        {"logits": (TensorProto.FLOAT, ["N", 3])},
    )
    return _version(models / name, graph, manifest)


def text_model(models: Path, name: str = "mood", **changed: Any) -> Path:
    """A classifier of texts: good or bad, by the mean of its words' weights."""
    weights = np.zeros((len(WORDS), 2), np.float32)
    weights[WORDS.index("good"), 0] = weights[WORDS.index("fine"), 0] = 4
    weights[WORDS.index("bad"), 1] = weights[WORDS.index("awful"), 1] = 4
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0),
    ]
    manifest = {
        "name": name,
        "version": "1",
        "task": "text-classification",
        "id2label": {0: "good", 1: "bad"},
        "inputs": {
            "text": {
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "max_length": 32,
                "tensors": {"input_ids": "ids"},
            }
        },
        "outputs": {"logits": {"decode": "logits"}},
        **changed,
    }
    graph = _graph(
        nodes,
        {"input_ids": (TensorProto.INT64, ["N", "L"])},
        {"logits": (TensorProto.FLOAT, ["N", 2])},
        [numpy_helper.from_array(weights, "weights")],
    )
    folder = _version(models / name, graph, manifest)
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def slow_model(models: Path, name: str = "slow", products: int = 3, side: int = 2048) -> Path:
    """The same classifier, after large matrix products that change nothing: about a second."""
    folder = text_model(models, name, batch={"max_size": 1})
    model = onnx.load(folder / "model.onnx")
    steps = [
        helper.make_node("ReduceMean", ["quick"], ["product0"], keepdims=1, axes=[0, 1]),
        helper.make_node("Expand", ["product0", "side"], ["square0"]),
    ]
    for step in range(products):
        steps += [
            helper.make_node("MatMul", [f"square{step}"] * 2, [f"product{step + 1}"]),
            helper.make_node("Tanh", [f"product{step + 1}"], [f"square{step + 1}"]),
        ]
    steps += [
        helper.make_node("ReduceMean", [f"square{products}"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "nothing"], ["little"]),
        helper.make_node("Add", ["quick", "little"], ["logits"]),
    ]
    model.graph.node[-1].output[0] = "quick"
    model.graph.node.extend(steps)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([side, side], np.int64), "side"),
            numpy_helper.from_array(np.zeros((1, 1), np.float32), "nothing"),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    return folder


def pair_model(models: Path, name: str = "pairs") -> Path:
    """A bi-encoder: a fixed random vector a word."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), _DIMENSION)).astype(np.float32)
    manifest = {
        "name": name,
        "version": "1",
        "task": "sentence-similarity",
        "inputs": {
            "text": {
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "max_length": 32,
                "tensors": {"input_ids": "ids", "attention_mask": "mask"},
            }
        },
        "outputs": {"states": {"decode": "embedding", "pooling": "mean"}},
    }
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["rows", "wide"], ["states"]),
    ]
    ids: list[Any] = ["N", "L"]
    graph = _graph(
        nodes,
        {"input_ids": (TensorProto.INT64, ids), "attention_mask": (TensorProto.INT64, ids)},
        {"states": (TensorProto.FLOAT, ["N", "L", _DIMENSION])},
        [
            numpy_helper.from_array(vectors, "vectors"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
        ],
    )
    folder = _version(models / name, graph, manifest)
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def picture(colour: str = "red", size: tuple[int, int] = (24, 32), form: str = ".jpg") -> bytes:
    """An encoded picture of one colour with some noise."""
    bgr = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}[colour]
    noise = np.random.default_rng(size[0] * 7919 + size[1]).integers(0, 40, (*size, 3))
    pixels: NDArray[np.uint8] = np.clip(np.array(bgr) - 20 + noise, 0, 255).astype(np.uint8)
    written, encoded = cv2.imencode(form, pixels)
    assert written
    return encoded.tobytes()


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(
        WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def _graph(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    initializers: list[onnx.TensorProto] | None = None,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *given) for name, given in inputs.items()],
        [helper.make_tensor_value_info(name, *given) for name, given in outputs.items()],
        initializers or [],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    content: bytes = made.SerializeToString()
    return content


def _version(folder: Path, graph: bytes, manifest: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder
