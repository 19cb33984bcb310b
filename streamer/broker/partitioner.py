"""Which partition a record goes to: the same one whatever the client, the try or the replica."""

from functools import lru_cache
from typing import Literal

from kafka.partitioner.default import murmur2

from streamer.records import OutRecord

_POSITIVE = 0x7FFFFFFF
_CACHED_KEY_BYTES = 64
"""Longer keys are hashed each time: the cache is to stay within some ten MB."""


def _hashed(key: bytes) -> int:
    return int(murmur2(key)) & _POSITIVE


_hashed_before = lru_cache(maxsize=65536)(_hashed)


def partition_for(record: OutRecord, partitions: int, rule: Literal["key", "source"]) -> int:
    """Choose a partition.

    A keyed record goes where Kafka's default partitioner puts it (murmur2 of the key, as the Java
    client); a keyless one, or any with the rule `source`, to its source partition modulo the
    number of partitions, so that a retry never moves it.
    """
    if rule == "key" and record.key is not None:
        known = _hashed_before if len(record.key) <= _CACHED_KEY_BYTES else _hashed
        return known(record.key) % partitions
    return record.source.partition % partitions
