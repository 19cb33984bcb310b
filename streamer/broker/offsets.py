"""Positions as the client commits them, each with a note of ours."""

from collections.abc import Callable, Mapping
from typing import Any

from kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from streamer.records import TopicPartition

Note = Callable[[TopicPartition], str]
"""Gives what is kept beside a partition's committed position."""


def no_note(_partition: TopicPartition) -> str:
    """Keep nothing."""
    return ""


def group_metadata(group: str) -> ConsumerGroupMetadata:
    """Give what commits positions of a group without members; a transactional id fences it."""
    return ConsumerGroupMetadata(group)


def offsets_of(positions: Mapping[TopicPartition, int], note: Note) -> dict[Any, Any]:
    """Put positions into the client's words."""
    return {
        ClientPartition(*partition): OffsetAndMetadata(position, note(partition), -1)
        for partition, position in positions.items()
    }
