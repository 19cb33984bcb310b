"""What publishing needs of consuming, without importing it."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from streamer.records import Permit, Wave


class Gate(Protocol):
    """Says what may be published now."""

    def publishing(self, waves: Iterable[Wave]) -> AbstractContextManager[Permit]:
        """Hold the gate open for the waves' partitions while something of them is sent."""
        ...
