"""Exports of Ultralytics: the notes that its exporters leave in a file say all that is needed."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from streamer.models.graph import Graph, Tensor, layout_of

NOTES = "metadata.yaml"
"""Beside a SavedModel."""
_MAX_NOTES_BYTES = 2**22
_TASKS = {"detect": "object-detection", "classify": "image-classification"}
_DETECTION_WIDTH = 6
_MOST_DETECTIONS = 300
_RANK_OF_DETECTIONS = 3
_PICTURE_RANK = 4
_TORCH_LAYOUT = ("NCHW", "RGB", None, None)


def from_ultralytics(file: Path, graph: Graph) -> dict[str, Any] | None:
    """Read the notes of Ultralytics' exporters: YOLOv5's own, and those of v8 and later.

    Their inputs are RGB / 255; detectors letterbox in the middle on grey 114, classifiers resize
    the shorter side and cut out the middle (ultralytics/data/augment.py).

    Returns:
        The manifest's content; None if there are no notes, or they are for another task.
    """
    notes = graph.metadata or _beside(file)
    labels = _labels(_literal(notes.get("names")))
    if "stride" not in notes or labels is None or len(graph.inputs) != 1:
        return None
    tensor = graph.inputs[0]
    layout = layout_of(tensor) if tensor.shape is not None else _TORCH_LAYOUT
    task = _TASKS.get(notes.get("task", "detect"))
    sides = _sides(notes, layout)
    if layout is None or task is None or sides is None:
        return None
    plain = tensor.dtype == "unknown" or tensor.scale is not None  # LiteRT quantises by itself
    image: dict[str, Any] = {
        "kind": "image",
        "layout": layout[0],
        "channels": layout[1],
        "dtype": "float32" if plain else tensor.dtype,
        "rescale_factor": 1 / 255,
    }
    output = graph.outputs[0]
    if task == "image-classification":
        image |= _cut_out(sides)
        read: dict[str, Any] | None = {"outputs": {output.name: {"decode": "probabilities"}}}
    else:
        image |= _letterboxed(sides)
        read = _objects(output, len(labels), notes, fractions=file.suffix == ".tflite")
    if read is None:
        return None
    about = {"task": task, "id2label": labels, "license": notes.get("license")}
    return about | {"inputs": {tensor.name: image}} | read


def _cut_out(sides: list[int]) -> dict[str, Any]:
    return {
        "size": {"shortest_edge": min(sides)},
        "resample": "pillow-bilinear",
        "do_center_crop": True,
        "crop_size": {"height": sides[0], "width": sides[1]},
        "crop_rounding": "even",
    }


def _letterboxed(sides: list[int]) -> dict[str, Any]:
    return {
        "size": {"height": sides[0], "width": sides[1]},
        "resize": "letterbox",
        "pad": "center",
        "pad_value": 114,
    }


def _objects(
    tensor: Tensor, labels: int, notes: Mapping[str, str], *, fractions: bool
) -> dict[str, Any] | None:
    """Tell how a detector's output is read; None if it is none that is known.

    Of `.tflite` boxes are fractions, so that quantised numbers stay near each other.
    """
    decode = _decode(tensor, labels, notes)
    if decode is None:
        return None
    nms = {"nms": {"iou": 0.45 if decode == "yolov5" else 0.7}}
    return {
        "outputs": {tensor.name: {"decode": decode} | ({"normalized": True} if fractions else {})},
        # those with their own suppression, or without need of one, are left alone
        "postprocess": {"threshold": 0.25} | ({} if decode == "detections" else nms),
    }


def noted(content: bytes) -> dict[str, str]:
    """Read notes packed into a file, JSON or a literal of Python; what is neither says nothing."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return {}
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = _literal(text)
    return _strings(read) if isinstance(read, dict) else {}


def _beside(file: Path) -> dict[str, str]:
    """Read what is noted beside a SavedModel."""
    notes = file.parent / NOTES
    if file.name != "saved_model.pb" or not notes.is_file():
        return {}
    if notes.stat().st_size > _MAX_NOTES_BYTES:
        return {}
    try:
        read = yaml.safe_load(notes.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return {}
    return _strings(read) if isinstance(read, dict) else {}


def _strings(notes: Mapping[Any, Any]) -> dict[str, str]:
    """Give notes as an ONNX file has them: all of them texts."""
    return {str(key): said if isinstance(said, str) else repr(said) for key, said in notes.items()}


def _labels(names: Any) -> dict[int, str] | None:
    """Read labels by index; JSON makes texts of indices."""
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(str(index).isdecimal() for index in names):
        return None
    return {int(index): str(label) for index, label in names.items()}


def _sides(notes: Mapping[str, str], layout: Any) -> list[int] | None:
    """Give height and width of the input."""
    told = _literal(notes.get("imgsz"))
    if told is None and layout is not None:
        told = [layout[2], layout[3]]
    shape = _literal(notes.get("shape"))  # YOLOv5's TorchScript
    if told == [None, None] and isinstance(shape, list | tuple) and len(shape) == _PICTURE_RANK:
        told = list(shape[2:])
    if not isinstance(told, list) or not told or not all(isinstance(s, int) for s in told):
        return None
    return told * 2 if len(told) == 1 else told


def _decode(tensor: Tensor, labels: int, notes: Mapping[str, str]) -> str | None:
    """Tell the kind of output by its shape; where that is not told, by the notes."""
    shape = tensor.shape
    if shape is None:
        if "task" not in notes:
            return "yolov5"
        args = _literal(notes.get("args"))
        ends = _literal(notes.get("end2end")) or (isinstance(args, dict) and args.get("nms"))
        return "detections" if ends else "yolov8"
    if len(shape) != _RANK_OF_DETECTIONS:
        return None
    if shape[2] == _DETECTION_WIDTH and shape[1] is not None and shape[1] != labels + 4:
        few = labels + 5 != _DETECTION_WIDTH or shape[1] <= _MOST_DETECTIONS
        return "detections" if few else "yolov5"
    if shape[2] == labels + 5:
        return "yolov5"
    return "yolov8" if shape[1] == labels + 4 else None


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
