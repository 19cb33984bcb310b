"""How large waves may be: what the line does in about half a second."""

from threading import Lock
from time import monotonic

_TARGET_S = 0.5
_LEAST = 32


class Pace:
    """Learns a wave's records from how fast waves leave the line.

    A wave is the unit of commit and of draining: under backlog it is to be large enough to sort
    and batch well, yet pass each stage in about half a second, however slow the model.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._records = min(256, most)
        self._last: float | None = None

    @property
    def records(self) -> int:
        """Records that the next wave may hold."""
        with self._lock:
            return self._records

    def left(self, records: int, *, backlog: bool) -> None:
        """Note that a wave has left the line; only under backlog does its pace tell something."""
        now = monotonic()
        with self._lock:
            since = now - self._last if self._last is not None else None
            self._last = now
            if since is None or not backlog or not records:
                return
            fitting = int(records * _TARGET_S / max(since, 1e-3))
            low, high = self._records // 2, self._records * 2
            self._records = min(max(min(max(fitting, low), high), _LEAST), self._most)
