"""Confluent's wire format: a zero byte, the schema's id, the value.

For Protobuf the message's place in its schema stands between the two.
"""

import struct
from collections.abc import Sequence

from streamer.errors import DecodeError

_MAGIC = 0
_HEAD = struct.Struct(">bI")
_MORE, _SEVEN_BITS = 0x80, 0x7F
_LONGEST = 64


def unwrapped(value: bytes) -> tuple[int, bytes]:
    """Split a value into its schema's id and the rest.

    Raises:
        DecodeError: `no-schema-id`.
    """
    if len(value) < _HEAD.size or value[0] != _MAGIC:
        shown = value[: _HEAD.size].hex(" ") or "nothing"
        raise DecodeError(
            f"a value with a schema begins with 00 and 4 bytes of its id; this one with {shown}",
            reason="no-schema-id",
        )
    return _HEAD.unpack_from(value)[1], value[_HEAD.size :]


def wrapped(schema_id: int, content: bytes) -> bytes:
    """Put the id before a value."""
    return _HEAD.pack(_MAGIC, schema_id) + content


def message_indexes(content: bytes) -> tuple[list[int], bytes]:
    """Take the place of a Protobuf message in its schema off the beginning.

    The place is written as a count and so many indexes, zigzag varints; a lone 0 stands for [0].

    Raises:
        DecodeError: `no-schema-id`: it ends in the middle, or is longer than any place could be.
    """
    count, at = _number(content, 0)
    if count == 0:
        return [0], content[at:]
    if not 0 < count <= _LONGEST:
        raise DecodeError(f"a message's place of {count} levels", reason="no-schema-id")
    indexes = []
    for _ in range(count):
        index, at = _number(content, at)
        indexes.append(index)
    return indexes, content[at:]


def with_message_indexes(indexes: Sequence[int], content: bytes) -> bytes:
    """Put the place of a message before it."""
    if list(indexes) == [0]:
        return b"\0" + content
    return b"".join(map(_varint, [len(indexes), *indexes])) + content


def _number(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(content) or shift > _LONGEST:
            raise DecodeError("the value ends in its message's place", reason="no-schema-id")
        byte = content[at]
        value |= (byte & _SEVEN_BITS) << shift
        at, shift = at + 1, shift + 7
        if not byte & _MORE:
            return (value >> 1) ^ -(value & 1), at


def _varint(number: int) -> bytes:
    value = number << 1 if number >= 0 else (-number << 1) - 1
    parts = bytearray()
    while value > _SEVEN_BITS:
        parts.append((value & _SEVEN_BITS) | _MORE)
        value >>= 7
    parts.append(value)
    return bytes(parts)
