"""Weights that are no numbers: a training that diverged, or a file that was damaged."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from streamer.errors import ModelError
from streamer.models.protobuf import Slice, fields, mapped, numbers, text

_ONNX_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8", 16: "bfloat16"}
_SAFE_FLOATS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "bfloat16"}
_CHUNK = 2**22
_BFLOAT16_INFINITE = 0x7F80


def refuse_nan(file: Path) -> None:
    """Look through a file's weights; infinities are left alone, since masks are made of them.

    ONNX and safetensors can be looked through; of other files only answers tell.

    Raises:
        ModelError: naming the first weight that holds NaN.
    """
    if file.suffix == ".onnx":
        found = _onnx(mapped(file), file.parent)
    elif file.suffix == ".safetensors":
        found = _safetensors(mapped(file))
    else:
        return
    for name, kind, content in found:
        if _has_nan(kind, content):
            raise ModelError(
                f"{file}: the weight '{name}' holds NaN: the training diverged or the file is "
                "damaged, and every answer would be NaN"
            )


def _has_nan(kind: str, content: Slice) -> bool:
    if kind == "bfloat16":
        bits = np.frombuffer(content, "<u2", count=len(content) // 2)
        # all bits of the exponent set, and one of the fraction
        return any(
            bool(((bits[at : at + _CHUNK] & 0x7FFF) > _BFLOAT16_INFINITE).any())
            for at in range(0, len(bits), _CHUNK)
        )
    width = np.dtype(kind).itemsize
    values = np.frombuffer(content, kind, count=len(content) // width)
    return any(
        bool(np.isnan(values[at : at + _CHUNK]).any()) for at in range(0, len(values), _CHUNK)
    )


def _onnx(message: Slice, folder: Path) -> Iterator[tuple[str, str, Slice]]:
    """Give the initializers of the outermost graph, with their bytes."""
    for field, graph in fields(message):
        if field != 7:  # noqa: PLR2004 - ModelProto.graph
            continue
        for part, tensor in fields(graph):
            if part == 5:  # noqa: PLR2004 - GraphProto.initializer
                yield from _initializer(tensor, folder)


def _initializer(tensor: Slice, folder: Path) -> Iterator[tuple[str, str, Slice]]:
    kind = _ONNX_FLOATS.get(numbers(tensor).get(2, 0))
    if kind is None:
        return
    name, place = "", {}
    contents: list[Slice] = []
    for field, value in fields(tensor):
        if field == 8:  # noqa: PLR2004 - TensorProto.name
            name = text(value)
        elif field == 9 or (field == 4 and kind == "<f4"):  # noqa: PLR2004 - raw_data, float_data
            contents.append(value)
        elif field == 13:  # noqa: PLR2004 - TensorProto.external_data
            parts = {number: text(said) for number, said in fields(value)}
            place[parts.get(1, "")] = parts.get(2, "")
    if "location" in place:
        begin = int(place.get("offset", "0"))
        outer = mapped(folder / place["location"])
        end = begin + int(place["length"]) if "length" in place else len(outer)
        contents = [outer[begin:end]]
    for content in contents:
        yield name, kind, content


def _safetensors(content: Slice) -> Iterator[tuple[str, str, Slice]]:
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(bytes(content[8 : 8 + length]))
    for name, tensor in header.items():
        kind = _SAFE_FLOATS.get(tensor.get("dtype", ""))
        if kind is not None:
            begin, end = tensor["data_offsets"]
            yield name, kind, content[8 + length + begin : 8 + length + end]
