"""The outside of a model file, and how an ONNX file tells it: inputs, outputs, metadata, files.

Reads just these fields off the protobuf encoding (onnx.proto3), without the weights and without a
runtime: a manifest can be guessed, and a file refused, before anything is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from streamer.errors import ModelError
from streamer.models.protobuf import Slice, entry, fields, mapped, numbers, text

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


@dataclass(frozen=True)
class Tensor:
    """An input or output; a dimension of None is free, a shape of None is not told.

    Attributes:
        scale: of a quantised one: value = (stored - zero_point) * scale.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    scale: float | None = None
    zero_point: int = 0

    def __str__(self) -> str:
        return f"'{self.name}' {self.dtype} {shape_text(self.shape)}"


@dataclass(frozen=True)
class Graph:
    """The outside of a model file.

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
    message = mapped(file)
    try:
        reader.model(message)
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
        for field, value in fields(message):
            if field == 7:  # noqa: PLR2004 - ModelProto.graph
                self.graph(value, 0)
            elif field == 14:  # noqa: PLR2004 - ModelProto.metadata_props
                key, said = entry(value)
                self.metadata[key] = said

    def graph(self, message: Slice, depth: int) -> None:
        if depth > _MAX_NESTING:
            raise ValueError("graphs nested too deep")
        for field, value in fields(message):
            if field == 1:
                self.node(value, depth)
            elif field == 5:  # noqa: PLR2004 - GraphProto.initializer
                self.tensor(value, top=depth == 0)
            elif depth == 0 and field == 11:  # noqa: PLR2004 - GraphProto.input
                self.inputs.append(_value_info(value))
            elif depth == 0 and field == 12:  # noqa: PLR2004 - GraphProto.output
                self.outputs.append(_value_info(value))

    def node(self, message: Slice, depth: int) -> None:
        for field, attribute in fields(message):
            if field != 5:  # noqa: PLR2004 - NodeProto.attribute
                continue
            name, strings = "", []
            for part, value in fields(attribute):
                if part == 1:
                    name = text(value)
                elif part in (5, 10):  # t, tensors
                    self.tensor(value, top=False)
                elif part in (6, 11):  # g, graphs
                    self.graph(value, depth + 1)
                elif part == 9 and len(value) < 2**16:  # noqa: PLR2004 - strings
                    strings.append(value)
            if name == "classlabels_strings" and strings:
                self.class_labels = tuple(text(value) for value in strings)

    def tensor(self, message: Slice, *, top: bool) -> None:
        for field, value in fields(message):
            if field == 8 and top:  # noqa: PLR2004 - TensorProto.name
                self.initializers.add(text(value))
            elif field == 13:  # noqa: PLR2004 - TensorProto.external_data
                key, said = entry(value)
                if key == "location":
                    self.external.append(said)


def _value_info(message: Slice) -> Tensor:
    name, dtype, shape = "", "unknown", None
    for field, value in fields(message):
        if field == 1:
            name = text(value)
        elif field == 2:  # noqa: PLR2004 - ValueInfoProto.type
            dtype, shape = _type(value)
    return Tensor(name, dtype, shape)


def _type(message: Slice) -> tuple[str, tuple[int | None, ...] | None]:
    for field, value in fields(message):
        if field == 1:  # TypeProto.tensor_type
            dtype = _DTYPES.get(numbers(value).get(1, 0), "unknown")
            shapes = [part for number, part in fields(value) if number == 2]  # noqa: PLR2004
            return dtype, _shape(shapes[0]) if shapes else None
        return {4: "sequence", 5: "map"}.get(field, "unknown"), None
    return "unknown", None


def _shape(message: Slice) -> tuple[int | None, ...]:
    sides: list[int | None] = []
    for field, dimension in fields(message):
        if field == 1:
            side = numbers(dimension).get(1)
            # exporters write 0 or -1 (as an unsigned 64-bit number) for a free dimension, too
            sides.append(side if side is not None and 0 < side < 2**31 else None)
    return tuple(sides)
