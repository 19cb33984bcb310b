"""The outside of a `.tflite` file: tensors with their quantisation, and labels packed into it.

FlatBuffers, read by schema: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

import struct
import zipfile
import zlib
from pathlib import Path

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.protobuf import Slice, mapped
from streamer.models.ultralytics import noted

MAGIC = b"TFL3"
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
)  # fmt: skip
_PACKED = (".txt", ".json")
_MAX_PACKED_BYTES = 2**24


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
        given, told = _names(model, 0), _names(model, 1)
        inputs = [_tensor(tensors[index], given.get(index)) for index in graph.integers(1)]
        outputs = [_tensor(tensors[index], told.get(index)) for index in graph.integers(2)]
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"{file}: is no TensorFlow Lite model, or only a part of one") from error
    notes, labels = _packed(file)
    return Graph(tuple(inputs), tuple(outputs), notes, labels, ())


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

    def number(self, field: int) -> int:
        place = self.place(field)
        return _unsigned(self._buffer, place) if place is not None else 0

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


def _names(model: _Table, field: int) -> dict[int, str]:
    """Give names by tensor, where there is one signature: by these the model is called then."""
    signatures = model.tables(7)
    if len(signatures) != 1:
        return {}
    return {entry.number(1): entry.text(0) for entry in signatures[0].tables(field)}


def _tensor(table: _Table, name: str | None) -> Tensor:
    signature = table.integers(7)
    shape = tuple(side if side > 0 else None for side in signature or table.integers(0))
    dtype = _DTYPES[table.byte(1)]
    quantisation = table.table(4)
    scales = quantisation.values(2, "f") if quantisation else []
    if quantisation is None or len(scales) != 1 or dtype.startswith("float"):
        return Tensor(name or table.text(3), dtype, shape)
    zeros = quantisation.values(3, "q")
    return Tensor(name or table.text(3), dtype, shape, scales[0], int(zeros[0]) if zeros else 0)


def _packed(file: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read notes and labels that are packed behind the model, as a zip archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [
                entry.filename
                for entry in archive.infolist()
                if entry.file_size <= _MAX_PACKED_BYTES and not entry.is_dir()
            ]
            texts = {name: archive.read(name) for name in names if name.endswith(_PACKED)}
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, zlib.error):
        return {}, ()  # most have none
    for content in texts.values():
        if notes := noted(content):
            return notes, ()
    lists = [content for name, content in texts.items() if name.endswith(".txt")]
    if len(lists) != 1:
        return {}, ()
    return {}, tuple(lists[0].decode("utf-8", "replace").splitlines())
