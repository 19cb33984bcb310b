"""The outside of a `.tflite` file: tensors with their quantisation, and labels packed into it.

FlatBuffers, read by schema: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

import struct
import zipfile
from pathlib import Path

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.protobuf import Slice, mapped

MAGIC = b"TFL3"
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
)  # fmt: skip
_MAX_LABELS_BYTES = 2**24


def read_tflite(file: Path) -> Graph:
    """Read the outside of a TensorFlow Lite model.

    Raises:
        ModelError: it is no such file, or cut off.
    """
    buffer = mapped(file)
    try:
        if bytes(buffer[4:8]) != MAGIC:
            raise ModelError(f"{file}: is no TensorFlow Lite model: it does not begin with TFL3")
        model = _Table(buffer, _unsigned(buffer, 0))
        graph = model.tables(2)[0]
        tensors = graph.tables(0)
        inputs = [_tensor(tensors[index]) for index in graph.integers(1)]
        outputs = [_tensor(tensors[index]) for index in graph.integers(2)]
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"{file}: is no TensorFlow Lite model, or only a part of one") from error
    return Graph(tuple(inputs), tuple(outputs), {}, _labels(file), ())


class _Table:
    """A table of a flat buffer: fields by number."""

    def __init__(self, buffer: Slice, at: int) -> None:
        self._buffer = buffer
        self._at = at
        begin = at - struct.unpack_from("<i", buffer, at)[0]
        size = struct.unpack_from("<H", buffer, begin)[0]
        self._offsets = struct.unpack_from(f"<{(size - 4) // 2}H", buffer, begin + 4)

    def place(self, field: int) -> int | None:
        """Give where a field's value stands; None for its default."""
        if field >= len(self._offsets) or not self._offsets[field]:
            return None
        return int(self._at + self._offsets[field])

    def byte(self, field: int) -> int:
        place = self.place(field)
        return self._buffer[place] if place is not None else 0

    def table(self, field: int) -> "_Table | None":
        place = self.place(field)
        if place is None:
            return None
        return _Table(self._buffer, place + _unsigned(self._buffer, place))

    def vector(self, field: int) -> tuple[int, int]:
        """Give where a vector's first element stands, and how many there are."""
        place = self.place(field)
        if place is None:
            return 0, 0
        begin = place + _unsigned(self._buffer, place)
        return begin + 4, _unsigned(self._buffer, begin)

    def tables(self, field: int) -> list["_Table"]:
        begin, count = self.vector(field)
        places = range(begin, begin + 4 * count, 4)
        return [_Table(self._buffer, at + _unsigned(self._buffer, at)) for at in places]

    def values(self, field: int, code: str) -> list[float]:
        begin, count = self.vector(field)
        return list(struct.unpack_from(f"<{count}{code}", self._buffer, begin))

    def integers(self, field: int) -> list[int]:
        return [int(value) for value in self.values(field, "i")]

    def text(self, field: int) -> str:
        begin, count = self.vector(field)
        return bytes(self._buffer[begin : begin + count]).decode("utf-8")


def _unsigned(buffer: Slice, at: int) -> int:
    return int(struct.unpack_from("<I", buffer, at)[0])


def _tensor(table: _Table) -> Tensor:
    signature = table.integers(7)
    shape = tuple(side if side > 0 else None for side in signature or table.integers(0))
    dtype = _DTYPES[table.byte(1)]
    quantisation = table.table(4)
    scales = quantisation.values(2, "f") if quantisation else []
    if quantisation is None or len(scales) != 1 or dtype.startswith("float"):
        return Tensor(table.text(3), dtype, shape)
    zeros = quantisation.values(3, "q")
    return Tensor(table.text(3), dtype, shape, scales[0], int(zeros[0]) if zeros else 0)


def _labels(file: Path) -> tuple[str, ...]:
    """Read the labels that TensorFlow Lite's metadata packs behind the model, as a zip archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            lists = [
                entry
                for entry in archive.infolist()
                if entry.filename.endswith(".txt") and entry.file_size <= _MAX_LABELS_BYTES
            ]
            if len(lists) != 1:
                return ()
            with archive.open(lists[0]) as stream:
                content = stream.read(_MAX_LABELS_BYTES + 1)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return ()  # most have none
    return tuple(content.decode("utf-8", "replace").splitlines())
