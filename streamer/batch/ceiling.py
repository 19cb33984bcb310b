"""The largest batch that the device's memory has room for, learnt from running out of it."""

from dataclasses import replace
from threading import Lock

from streamer.batch.plan import BatchBounds

_BATCHES_UNTIL_HIGHER = 256
_HIGHER = 1.25


class Ceiling:
    """Lowers a model's bounds when memory runs out, and raises them again slowly.

    Half the cost of the batch that failed is tried next; after 256 batches without a failure the
    bound grows by a quarter, up to what was configured.
    """

    def __init__(self, configured: BatchBounds) -> None:
        self._configured = configured
        self._lock = Lock()
        self._cost = configured.cost
        self._batches = 0

    @property
    def bounds(self) -> BatchBounds:
        """What a batch holds at the most just now."""
        with self._lock:
            return replace(self._configured, cost=self._cost)

    @property
    def lowered(self) -> bool:
        """Whether memory has run out and the bound has not recovered yet."""
        with self._lock:
            return self._cost < self._configured.cost

    def weigh(self, overhead: int) -> None:
        """Weigh padding against runs that cost so much besides their items, from now on."""
        with self._lock:
            self._configured = replace(self._configured, overhead=overhead)

    def ran_out(self, cost: int) -> None:
        """A batch of this cost found no memory."""
        with self._lock:
            self._cost = max(min(self._cost, cost // 2), 1)
            self._batches = 0

    def ran(self) -> None:
        """A batch was run."""
        with self._lock:
            if self._cost == self._configured.cost:
                return
            self._batches += 1
            if self._batches >= _BATCHES_UNTIL_HIGHER:
                self._batches = 0
                self._cost = min(int(self._cost * _HIGHER) + 1, self._configured.cost)
