"""A manifest for a bare model file: what can be read off it is, the rest is asked for."""

import ast
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamer.config.files import explained
from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.manifest import Manifest
from streamer.models.template import template

_SEQUENCE_TENSORS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
}
_ULTRALYTICS_TASKS = {"detect": "object-detection", "classify": "image-classification"}
_COMMON_STEMS = ("model", "saved_model", "model.safetensors.index", "pytorch_model")
_VERSION_DIGITS = 12
_DETECTION_WIDTH = 6
_RANK_OF_DETECTIONS = 3


def guessed(file: Path, graph: Graph, task: str | None) -> Manifest:
    """Make the manifest of a bare model file.

    Raises:
        ModelError: the file does not say enough; gives the `model.yaml` to complete.
    """
    content = _ultralytics(graph) or _self_contained(graph)
    if content is None:
        raise ModelError(
            f"{file}: the file does not say all that is needed to use it. Make a directory with "
            f"this file and a model.yaml beside it, with the values in <> filled in:\n"
            f"{template(file, graph, task)}"
        )
    return complete(content, file)


def complete(content: dict[str, Any], file: Path) -> Manifest:
    """Make a manifest of what was found out, under a name and version of the file's own.

    The version is the beginning of the hub's commit, or of the file's SHA-256: another file is
    another version.
    """
    name, version = _identity(file)
    try:
        return Manifest.model_validate({"name": name, "version": version, **content})
    except ValidationError as error:
        raise ModelError(explained(error, Manifest, str(file), {})) from error


def _identity(file: Path) -> tuple[str, str]:
    folder = Path(os.path.abspath(file)).parent  # noqa: PTH100 - links of the hub's cache stay
    if folder.name == "onnx":
        folder = folder.parent
    if folder.parent.name == "snapshots":
        return _plain(folder.parents[1].name.rpartition("--")[2]), folder.name[:_VERSION_DIGITS]
    stem = folder.name if file.stem in _COMMON_STEMS else file.stem
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return _plain(stem), digest[:_VERSION_DIGITS]


def _plain(name: str) -> str:
    """Make a name of a file's or a folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:128] or "model"


def layout_of(tensor: Tensor) -> tuple[str, str, int | None, int | None] | None:
    """Read layout, channels, height and width off a picture's tensor; None if it is none."""
    shape = tensor.shape
    if shape is None or len(shape) != len("NCHW"):
        return None
    kinds = {1: "GRAY", 3: "RGB"}
    if shape[1] in kinds and shape[3] not in kinds:
        return "NCHW", kinds[shape[1]], shape[2], shape[3]
    if shape[3] in kinds:
        return "NHWC", kinds[shape[3]], shape[1], shape[2]
    return None


def text_tensors(graph: Graph) -> dict[str, str] | None:
    """Tell which input takes which part of a tokenised text; None if one is unknown."""
    parts = {tensor.name: _SEQUENCE_TENSORS.get(tensor.name) for tensor in graph.inputs}
    if "ids" not in parts.values() or None in parts.values():
        return None
    return {name: part for name, part in parts.items() if part is not None}


def _ultralytics(graph: Graph) -> dict[str, Any] | None:
    """Read the notes that Ultralytics' exporters leave in a file.

    Their inputs are RGB / 255; detectors letterbox in the middle on grey 114, classifiers resize
    the shorter side and cut out the middle (ultralytics/data/augment.py).
    """
    notes = graph.metadata
    labels = _literal(notes.get("names"))
    if "stride" not in notes or not isinstance(labels, dict) or len(graph.inputs) != 1:
        return None
    tensor = graph.inputs[0]
    read = layout_of(tensor)
    task = _ULTRALYTICS_TASKS.get(notes.get("task", "detect"))
    sides = _literal(notes.get("imgsz")) or ([read[2], read[3]] if read else None)
    if read is None or task is None or not isinstance(sides, list) or None in sides:
        return None
    if len(sides) == 1:
        sides = sides * 2
    image: dict[str, Any] = {
        "kind": "image",
        "layout": read[0],
        "channels": read[1],
        "dtype": tensor.dtype,
        "rescale_factor": 1 / 255,
    }
    common = {"task": task, "id2label": labels, "license": notes.get("license")}
    if task == "image-classification":
        image |= {
            "size": {"shortest_edge": min(sides)},
            "resample": "pillow-bilinear",
            "do_center_crop": True,
            "crop_size": {"height": sides[0], "width": sides[1]},
        }
        output: dict[str, Any] = {"decode": "probabilities"}
        return common | {"inputs": {tensor.name: image}, "outputs": {graph.outputs[0].name: output}}
    image |= {
        "size": {"height": sides[0], "width": sides[1]},
        "resize": "letterbox",
        "pad": "center",
        "pad_value": 114,
    }
    decode = _detector_output(graph.outputs[0], len(labels))
    if decode is None:
        return None
    iou = 0.45 if decode == "yolov5" else 0.7
    return common | {
        "inputs": {tensor.name: image},
        "outputs": {graph.outputs[0].name: {"decode": decode}},
        # those with their own suppression, or without need of one, are left alone
        "postprocess": {"threshold": 0.25}
        | ({} if decode == "detections" else {"nms": {"iou": iou}}),
    }


def _detector_output(tensor: Tensor, labels: int) -> str | None:
    shape = tensor.shape
    if shape is None or len(shape) != _RANK_OF_DETECTIONS:
        return None
    if shape[2] == _DETECTION_WIDTH and shape[1] is not None and shape[1] != labels + 4:
        return "detections" if labels + 5 != _DETECTION_WIDTH or shape[1] <= 300 else "yolov5"  # noqa: PLR2004
    if shape[2] == labels + 5:
        return "yolov5"
    return "yolov8" if shape[1] == labels + 4 else None


def _self_contained(graph: Graph) -> dict[str, Any] | None:
    """Read a graph that tokenises by itself and names its labels (skl2onnx)."""
    if len(graph.inputs) != 1 or graph.inputs[0].dtype != "string" or not graph.class_labels:
        return None
    outputs: dict[str, Any] = {}
    for tensor in graph.outputs:
        scores = tensor.dtype == "sequence" or (
            tensor.dtype.startswith("float")
            and tensor.shape is not None
            and tensor.shape[-1:] == (len(graph.class_labels),)
        )
        outputs[tensor.name] = {"decode": "probabilities" if scores else "label"}
    tensor = graph.inputs[0]
    return {
        "task": "text-classification",
        "id2label": dict(enumerate(graph.class_labels)),
        "inputs": {"text": {"kind": "text", "tensors": {tensor.name: "string"}}},
        "outputs": outputs,
    }


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
