"""Protobuf messages read field by field, without a schema, and copying only what is asked for.

https://protobuf.dev/programming-guides/encoding
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from streamer.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 63

Slice = memoryview


def mapped(file: Path) -> Slice:
    """Map a file into memory.

    Raises:
        ModelError: it cannot be read, or is empty.
    """
    try:
        with file.open("rb") as stream:
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{file}: is empty, which no model is") from error


def fields(message: Slice) -> Iterator[tuple[int, Slice]]:
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


def numbers(message: Slice) -> dict[int, int]:
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


def text(value: Slice) -> str:
    """Copy a text out."""
    return bytes(value).decode("utf-8")


def entry(message: Slice) -> tuple[str, str]:
    """Read an entry of a map from text to text."""
    parts = {field: text(value) for field, value in fields(message)}
    return parts.get(1, ""), parts.get(2, "")
