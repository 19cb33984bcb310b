"""Topologies, records and waves for unit tests."""

from collections.abc import Iterable

from streamer.config import Topology
from streamer.records import Answer, Item, Record, Slice, TopicPartition, Wave

IN = "in"


def topology(**changes) -> Topology:
    return Topology.model_validate(
        {
            "name": "words",
            "source": {"topics": [IN], "format": "text"},
            "model": "models/words",
            "task": "text-classification",
            "sink": {"topic": "out", "partition": "source"},
            "deadletter": {"topic": "letters"},
            **changes,
        }
    )


def at(partition: int) -> TopicPartition:
    return TopicPartition(IN, partition)


def record(offset: int, partition: int = 0, **changes) -> Record:
    fields = {"timestamp": 1000 + offset, "key": b"k", "value": b"%d" % offset, **changes}
    return Record(IN, partition, offset, **fields)


def answered(record: Record) -> Item:
    item = Item(record)
    item.answers["predict"] = Answer("text-classification", "words", "1", [])
    return item


def wave(slices: dict[int, Iterable[int]], *, epoch: int = 1, number: int = 0) -> Wave:
    """Make a wave of offsets by partition, each answered."""
    parts = {}
    for partition, offsets in slices.items():
        items = tuple(answered(record(offset, partition)) for offset in offsets)
        position = items[-1].record.offset + 1 if items else 0
        parts[at(partition)] = Slice(epoch, position, items)
    return Wave(number, parts, 0, 0.0)
