"""A manifest for a bare model file: what can be read off it is, the rest is asked for."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamer.config.files import explained
from streamer.errors import ModelError
from streamer.models.graph import Graph
from streamer.models.manifest import Manifest
from streamer.models.template import template
from streamer.models.ultralytics import from_ultralytics

_SEQUENCE_TENSORS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
}
_COMMON_STEMS = ("model", "saved_model", "model.safetensors.index", "pytorch_model")
_VERSION_DIGITS = 12


def guessed(file: Path, graph: Graph, task: str | None) -> Manifest:
    """Make the manifest of a bare model file.

    Raises:
        ModelError: the file does not say enough; gives the `model.yaml` to complete.
    """
    content = from_ultralytics(file, graph) or _self_contained(graph)
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


def text_tensors(graph: Graph) -> dict[str, str] | None:
    """Tell which input takes which part of a tokenised text; None if one is unknown."""
    parts = {tensor.name: _SEQUENCE_TENSORS.get(tensor.name) for tensor in graph.inputs}
    if "ids" not in parts.values() or None in parts.values():
        return None
    return {name: part for name, part in parts.items() if part is not None}


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
