"""The outside of TensorFlow's files: signatures of a SavedModel, placeholders of a frozen graph."""

from collections.abc import Iterator
from pathlib import Path

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.protobuf import Slice, fields, mapped, numbers, text

SAVED_MODEL = "saved_model.pb"
_SIGNATURE = "serving_default"
# tensorflow/core/framework/types.proto
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
}
_NO_OUTPUT = ("Const", "NoOp", "Placeholder", "Assert", "SaveV2", "RestoreV2")


def read_tensorflow(file: Path) -> Graph:
    """Read the outside of a `saved_model.pb` or of a frozen graph (`.pb`).

    Of a SavedModel the names are those of its signature `serving_default`; of a frozen graph
    they are `node:0`, its outputs the nodes that no other node reads.

    Raises:
        ModelError: it is no such file, or no signature is there to be called.
    """
    message = mapped(file)
    try:
        if file.name == SAVED_MODEL:
            inputs, outputs = _signature(message, file)
        else:
            inputs, outputs = _frozen(message)
    except (ValueError, IndexError, RecursionError) as error:
        raise ModelError(f"{file}: is no TensorFlow graph, or only a part of one") from error
    if not outputs:
        raise ModelError(f"{file}: is no TensorFlow graph: it has no outputs")
    return Graph(tuple(inputs), tuple(outputs), {}, (), ())


def _signature(message: Slice, file: Path) -> tuple[list[Tensor], list[Tensor]]:
    found: dict[str, Slice] = {}
    for field, graph in fields(message):
        if field != 2:  # noqa: PLR2004 - SavedModel.meta_graphs
            continue
        for part, entry in fields(graph):
            if part == 5:  # noqa: PLR2004 - MetaGraphDef.signature_def
                name, signature = _keyed(entry)
                found.setdefault(name, signature)
    callable_ = [name for name in found if not name.startswith("__saved_model_")]
    chosen = _SIGNATURE if _SIGNATURE in found else (callable_ or [""])[0]
    if chosen not in found or (chosen != _SIGNATURE and len(callable_) != 1):
        has = f"its signatures are {', '.join(callable_)}" if callable_ else "it has no signature"
        raise ModelError(
            f"{file}: a SavedModel is called by its signature '{_SIGNATURE}', but {has}; save it "
            "with signatures={'serving_default': …}"
        )
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for field, entry in fields(found[chosen]):
        if field in (1, 2):  # SignatureDef.inputs, outputs
            name, information = _keyed(entry)
            (inputs if field == 1 else outputs).append(_tensor(name, information))
    return inputs, outputs


def _keyed(entry: Slice) -> tuple[str, Slice]:
    """Read an entry of a map whose values are messages."""
    parts = dict(fields(entry))
    return text(parts.get(1, memoryview(b""))), parts.get(2, memoryview(b""))


def _tensor(name: str, information: Slice) -> Tensor:
    """Read a TensorInfo."""
    shapes = [value for field, value in fields(information) if field == 3]  # noqa: PLR2004
    dtype = _DTYPES.get(numbers(information).get(2, 0), "unknown")
    return Tensor(name, dtype, _shape(shapes[0]) if shapes else None)


def _shape(message: Slice) -> tuple[int | None, ...] | None:
    """Read a TensorShapeProto; None where the rank is not told."""
    if numbers(message).get(3):
        return None
    sides: list[int | None] = []
    for field, dimension in fields(message):
        if field == 2:  # noqa: PLR2004 - TensorShapeProto.dim
            side = numbers(dimension).get(1, 0)
            sides.append(side if 0 < side < 2**31 else None)
    return tuple(sides)


def _frozen(message: Slice) -> tuple[list[Tensor], list[Tensor]]:
    inputs: list[Tensor] = []
    kinds: dict[str, str] = {}
    read: set[str] = set()
    for field, node in fields(message):
        if field != 1:  # GraphDef.node
            continue
        name, kind, sources = "", "", []
        for part, value in fields(node):
            if part == 1:
                name = text(value)
            elif part == 2:  # noqa: PLR2004 - NodeDef.op
                kind = text(value)
            elif part == 3:  # noqa: PLR2004 - NodeDef.input
                sources.append(text(value))
        if not name or not kind:
            raise ValueError("a node without name or kind")
        kinds[name] = kind
        read |= {source.removeprefix("^").partition(":")[0] for source in sources}
        if kind == "Placeholder":
            inputs.append(_placeholder(name, node))
    outputs = [
        Tensor(f"{name}:0", "unknown", None)
        for name, kind in kinds.items()
        if name not in read and kind not in _NO_OUTPUT
    ]
    return inputs, outputs


def _placeholder(name: str, node: Slice) -> Tensor:
    dtype, shape = "unknown", None
    for key, value in _attributes(node):
        if key == "dtype":
            dtype = _DTYPES.get(numbers(value).get(6, 0), "unknown")
        elif key == "shape":
            shapes = [part for field, part in fields(value) if field == 7]  # noqa: PLR2004
            shape = _shape(shapes[0]) if shapes else None
    return Tensor(f"{name}:0", dtype, shape)


def _attributes(node: Slice) -> Iterator[tuple[str, Slice]]:
    for field, entry in fields(node):
        if field == 5:  # noqa: PLR2004 - NodeDef.attr
            yield _keyed(entry)
