"""How large waves may be: what the line does in about half a second."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

_TARGET_S = 0.5
_LEAST = 32
_TOGETHER_S = 0.01
"""Waves of one transaction leave at once: they count as one."""


class Pace:
    """Learns a wave's records from how fast waves leave the line.

    A wave is the unit of commit and of draining: under backlog it is to be large enough to sort
    and batch well, yet pass each stage in about half a second, however slow the model.
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._records = min(256, most)
        self._last: float | None = None
        self._together = 0

    @property
    def records(self) -> int:
        """Records that the next wave may hold."""
        with self._lock:
            return self._records

    def left(self, records: int, *, backlog: bool) -> None:
        """Note that a wave has left the line; only under backlog does its pace tell something."""
        now = self._clock()
        with self._lock:
            since = now - self._last if self._last is not None else None
            if since is not None and since < _TOGETHER_S:
                self._together += records
                return
            before, self._together, self._last = self._together, records, now
            if since is None or not backlog or not before:
                return
            fitting = int(before * _TARGET_S / since)
            low, high = self._records // 2, self._records * 2
            self._records = min(max(min(max(fitting, low), high), _LEAST), self._most)
