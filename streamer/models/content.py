"""Whether a model file is what its name says, looked at before any framework opens it."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from streamer.errors import ModelError
from streamer.models import archive, tflite
from streamer.models.graph import Graph, Tensor, read_graph
from streamer.models.tensorflow import read_tensorflow

_HEAD_BYTES = 512
_MAX_HEADER_BYTES = 2**27
PICKLED = "pytorch_model.bin"
_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
# By their first bytes: https://en.wikipedia.org/wiki/List_of_file_signatures
_OTHERS: Mapping[bytes, str] = MappingProxyType(
    {
        b"PK\x03\x04": "a zip archive",
        b"\x1f\x8b": "a gzip archive",
        b"BZh": "a bzip2 archive",
        b"\xfd7zXZ": "an xz archive",
        b"\x28\xb5\x2f\xfd": "a zstd archive",
        b"7z\xbc\xaf": "a 7z archive",
        b"\x89HDF": "a Keras file (HDF5)",
        b"\x89PNG": "a picture",
        b"\xff\xd8\xff": "a picture",
        b"%PDF": "a PDF document",
        b"GGUF": "a GGUF file, which language models come in",
        b"\x80\x02": "a pickle",
        b"\x80\x03": "a pickle",
        b"\x80\x04": "a pickle",
        b"\x80\x05": "a pickle",
    }
)
_PICKLE = (
    ": to load one is to run code that its author chose; export the model to ONNX or with "
    "torch.export (.pt2), or save its weights as safetensors"
)
_ARCHIVE = ": archives are not unpacked here; unpack it and name the model in it"


def outside(file: Path) -> Graph:
    """Read what a model file tells of itself, once it has been looked at.

    Of safetensors nothing is told: a network's inputs are not in its weights.

    Raises:
        ModelError: it is not what its name says, or no model that streamer runs.
    """
    look_at(file)
    reader = _READERS.get(file.suffix)
    if reader is None or (file.suffix == ".bin" and file.name != PICKLED):
        known = ", ".join(suffix for suffix in _READERS if suffix not in (".bin", ".json"))
        raise ModelError(f"{file}: no such model can be run; known are {known}; export it to ONNX")
    return reader(file)


def look_at(file: Path) -> None:
    """Refuse a file whose content belies its name.

    Raises:
        ModelError: saying what it is instead.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise ModelError(f"{file}: is empty")
    if head.startswith(_LFS):
        raise ModelError(
            f"{file}: is only git-lfs's pointer to the model: run git lfs pull where it was cloned"
        )
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_PAGES):
        raise ModelError(
            f"{file}: is a web page, not a model: the download got the page about the file; take "
            "the link to the file itself"
        )
    kind = next((told for magic, told in _OTHERS.items() if head.startswith(magic)), None)
    if head[257:262] == b"ustar":
        kind = "a tar archive"
    if file.name == PICKLED:
        return
    if kind is not None and not (kind == "a zip archive" and file.suffix in _ZIPPED):
        more = _PICKLE if kind == "a pickle" else _ARCHIVE if "archive" in kind else ""
        raise ModelError(f"{file}: is {kind}, not {_expected(file)}{more}")


def _read_pickled(file: Path) -> Graph:
    """Take a folder's `pytorch_model.bin` as it is: it is loaded where that is allowed only."""
    del file
    return Graph((), (), {}, (), ())


def _expected(file: Path) -> str:
    return {
        ".onnx": "an ONNX graph",
        ".pb": "a TensorFlow graph",
        ".tflite": "a TensorFlow Lite model",
        ".safetensors": "safetensors",
        ".pt": "TorchScript",
        ".pt2": "an exported program",
    }.get(file.suffix, "a model that streamer runs")


def _read_safetensors(file: Path) -> Graph:
    """Look at the header: https://github.com/huggingface/safetensors#format."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size - 8, _MAX_HEADER_BYTES):
                raise ModelError(f"{file}: is no safetensors file, or only a part of one")
            header = json.loads(stream.read(length))
        ends = [
            tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"
        ]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{file}: is no safetensors file, or only a part of one") from error
    if max(ends, default=0) != size - 8 - length:
        raise ModelError(
            f"{file}: is only a part of itself: its header speaks of "
            f"{max(ends, default=0) + 8 + length:,} bytes, there are {size:,}"
        )
    return Graph((), (), {}, (), ())


def _read_index(file: Path) -> Graph:
    """Look at the parts that an index of safetensors names (`model.safetensors.index.json`)."""
    try:
        parts = set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{file}: is no index of safetensors") from error
    for part in sorted(parts):
        if "/" in part or "\\" in part or not (file.parent / part).is_file():
            raise ModelError(f"{file}: names a part '{part}' that is not beside it")
        look_at(file.parent / part)
        _read_safetensors(file.parent / part)
    return Graph((), (), {}, (), ())


_ZIPPED = (".pt", ".pt2", ".ts", ".torchscript")
_READERS: Mapping[str, Callable[[Path], Graph]] = MappingProxyType(
    {
        ".onnx": read_graph,
        ".pb": read_tensorflow,
        ".tflite": tflite.read_tflite,
        ".pt": archive.read_archive,
        ".pt2": archive.read_archive,
        ".ts": archive.read_archive,
        ".torchscript": archive.read_archive,
        ".safetensors": _read_safetensors,
        ".json": _read_index,
        ".bin": _read_pickled,
    }
)

__all__ = ["Graph", "Tensor", "look_at", "outside"]
