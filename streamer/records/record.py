"""Kafka records as they come in and as they go out."""

from typing import NamedTuple

import msgspec

Headers = tuple[tuple[str, bytes | None], ...]


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as it was read; `timestamp` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size


class OutRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to be written.

    Attributes:
        source: the partition the input came from; it decides the output partition of a
            record without a key.
        timestamp: milliseconds since the epoch; None for the time of sending.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int | None
    source: TopicPartition
