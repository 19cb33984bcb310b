"""Which partition a record goes to: the same one whatever the client, the try or the replica."""

from functools import lru_cache
from typing import Literal

from kafka.partitioner.default import murmur2

from streamer.records import OutRecord

_POSITIVE = 0x7FFFFFFF


@lru_cache(maxsize=65536)
def _hashed(key: bytes) -> int:
    return int(murmur2(key)) & _POSITIVE


def partition_for(record: OutRecord, partitions: int, rule: Literal["key", "source"]) -> int:
    """Choose a partition.

    A keyed record goes where Kafka's default partitioner puts it (murmur2 of the key, as the Java
    client); a keyless one, or any with the rule `source`, to its source partition modulo the
    number of partitions, so that a retry never moves it.
    """
    if rule == "key" and record.key is not None:
        return _hashed(record.key) % partitions
    return record.source.partition % partitions
