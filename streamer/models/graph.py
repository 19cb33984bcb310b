"""What an ONNX file says of itself: inputs, outputs, metadata, files it refers to.

Reads just these fields off the protobuf encoding (onnx.proto3), without the weights and without a
runtime: a manifest can be guessed, and a file refused, before anything is loaded.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import ModelError

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
_MAX_NESTING = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 63

Slice = memoryview


@dataclass(frozen=True)
class Tensor:
    """An input or output; a dimension of None is free, a shape of None is not told."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        return f"'{self.name}' {self.dtype} {shape_text(self.shape)}"


@dataclass(frozen=True)
class Graph:
    """The outside of an ONNX graph.

    Attributes:
        metadata: what the exporter noted.
        class_labels: labels that a classifier node carries, in order.
        external: files with weights, as the graph names them.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: dict[str, str]
    class_labels: tuple[str, ...]
    external: tuple[str, ...]


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """Write a shape as people do: [N,3,?,?]."""
    if shape is None:
        return "[…]"
    sides = [
        ("N" if place == 0 else "?") if side is None else str(side)
        for place, side in enumerate(shape)
    ]
    return f"[{','.join(sides)}]"


def read_graph(file: Path) -> Graph:
    """Read the outside of an ONNX graph.

    Raises:
        ModelError: the file cannot be read or is no ONNX file.
    """
    reader = _Reader()
    try:
        with file.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        reader.model(memoryview(mapped))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, IndexError, RecursionError) as error:
        raise ModelError(f"{file}: is no ONNX file, or only a part of one") from error
    if not reader.outputs:
        raise ModelError(f"{file}: is no ONNX file: it has no graph with outputs")
    return Graph(
        inputs=tuple(t for t in reader.inputs if t.name not in reader.initializers),
        outputs=tuple(reader.outputs),
        metadata=reader.metadata,
        class_labels=reader.class_labels,
        external=tuple(dict.fromkeys(reader.external)),
    )


class _Reader:
    """Collects what it meets on its way through the messages."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.initializers: set[str] = set()
        self.metadata: dict[str, str] = {}
        self.class_labels: tuple[str, ...] = ()
        self.external: list[str] = []

    def model(self, message: Slice) -> None:
        for field, value in _fields(message):
            if field == 7:  # noqa: PLR2004 - ModelProto.graph
                self.graph(value, 0)
            elif field == 14:  # noqa: PLR2004 - ModelProto.metadata_props
                key, text = _entry(value)
                self.metadata[key] = text

    def graph(self, message: Slice, depth: int) -> None:
        if depth > _MAX_NESTING:
            raise ValueError("graphs nested too deep")
        for field, value in _fields(message):
            if field == 1:
                self.node(value, depth)
            elif field == 5:  # noqa: PLR2004 - GraphProto.initializer
                self.tensor(value, top=depth == 0)
            elif depth == 0 and field == 11:  # noqa: PLR2004 - GraphProto.input
                self.inputs.append(_value_info(value))
            elif depth == 0 and field == 12:  # noqa: PLR2004 - GraphProto.output
                self.outputs.append(_value_info(value))

    def node(self, message: Slice, depth: int) -> None:
        for field, attribute in _fields(message):
            if field != 5:  # noqa: PLR2004 - NodeProto.attribute
                continue
            name, strings = "", []
            for part, value in _fields(attribute):
                if part == 1:
                    name = _text(value)
                elif part in (5, 10):  # t, tensors
                    self.tensor(value, top=False)
                elif part in (6, 11):  # g, graphs
                    self.graph(value, depth + 1)
                elif part == 9 and len(value) < 2**16:  # noqa: PLR2004 - strings
                    strings.append(value)
            if name == "classlabels_strings" and strings:
                self.class_labels = tuple(_text(value) for value in strings)

    def tensor(self, message: Slice, *, top: bool) -> None:
        for field, value in _fields(message):
            if field == 8 and top:  # noqa: PLR2004 - TensorProto.name
                self.initializers.add(_text(value))
            elif field == 13:  # noqa: PLR2004 - TensorProto.external_data
                key, text = _entry(value)
                if key == "location":
                    self.external.append(text)


def _fields(message: Slice) -> Iterator[tuple[int, Slice]]:
    """Yield the length-delimited fields of a message; numbers are passed by."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            size, at = _varint(message, at)
            if at + size > end:
                raise ValueError("a field reaches beyond its message")
            yield field, message[at : at + size]
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("no protobuf")


def _numbers(message: Slice) -> dict[int, int]:
    """Give the integer fields of a message."""
    numbers: dict[int, int] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        value, at = _varint(message, at)
        if wire == _VARINT:
            numbers[field] = value
        elif wire == _BYTES:
            at += value
        else:
            raise ValueError("no number")
    return numbers


def _varint(message: Slice, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte has its highest bit clear
            return value, at
        shift += 7
        if shift > _MAX_VARINT_BITS:
            raise ValueError("a number without end")


def _text(value: Slice) -> str:
    return bytes(value).decode("utf-8")


def _entry(message: Slice) -> tuple[str, str]:
    parts = {field: _text(value) for field, value in _fields(message)}
    return parts.get(1, ""), parts.get(2, "")


def _value_info(message: Slice) -> Tensor:
    name, dtype, shape = "", "unknown", None
    for field, value in _fields(message):
        if field == 1:
            name = _text(value)
        elif field == 2:  # noqa: PLR2004 - ValueInfoProto.type
            dtype, shape = _type(value)
    return Tensor(name, dtype, shape)


def _type(message: Slice) -> tuple[str, tuple[int | None, ...] | None]:
    for field, value in _fields(message):
        if field == 1:  # TypeProto.tensor_type
            dtype = _DTYPES.get(_numbers(value).get(1, 0), "unknown")
            shapes = [part for number, part in _fields(value) if number == 2]  # noqa: PLR2004
            return dtype, _shape(shapes[0]) if shapes else None
        return {4: "sequence", 5: "map"}.get(field, "unknown"), None
    return "unknown", None


def _shape(message: Slice) -> tuple[int | None, ...]:
    sides: list[int | None] = []
    for field, dimension in _fields(message):
        if field == 1:
            side = _numbers(dimension).get(1)
            # exporters write 0 or -1 (as an unsigned 64-bit number) for a free dimension, too
            sides.append(side if side is not None and 0 < side < 2**31 else None)
    return tuple(sides)
