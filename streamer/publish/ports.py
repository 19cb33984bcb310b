"""What publishing needs of consuming, without importing it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from streamer.records import TopicPartition, Wave


class Membership(Protocol):
    """Name and generation in the group, as the broker fences by them."""

    member_id: str
    generation_id: int


class Permit(Protocol):
    """Which partitions may be published now, under which epoch, as which member."""

    @property
    def epochs(self) -> Mapping[TopicPartition, int]:
        """The current epoch of each partition that may be published."""
        ...

    @property
    def membership(self) -> Membership | None:
        """The membership under which they are ours; None before the group is joined."""
        ...


class Gate(Protocol):
    """Says what may be published now."""

    def publishing(self, waves: Iterable[Wave]) -> AbstractContextManager[Permit]:
        """Hold the gate open for the waves' partitions while something of them is sent."""
        ...
