"""What publishing needs of consuming, without importing it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from streamer.records import TopicPartition, Wave


class Gate(Protocol):
    """Which partitions may be published now, and under which epoch."""

    def publishing(
        self, waves: Iterable[Wave]
    ) -> AbstractContextManager[Mapping[TopicPartition, int]]:
        """Hold the gate open for the waves' partitions while something of them is sent."""
        ...
