"""How large waves may be: what the line does in half a second, or longer when far behind."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from streamer.config.topology import WaveLimits

_TARGET_S = 0.5
_BEHIND_S = 1.5
"""Of a line that is far behind: nobody waits for the record just read, and texts are padded the
less the more of them are sorted."""
_FAR_BEHIND = 8
"""Waves that a line which is far behind has yet to read."""
_IN_LINE = 4
"""Waves in the line at once, roughly: a record waits for so many."""
_LEAST = 32
_FIRST = 256
"""Texts of the first wave; of pictures it has the least, for it would hold seconds of work."""
_TOGETHER_S = 0.01
"""Waves of one transaction leave at once: they count as one."""


class Pace:
    """Learns a wave's records from how fast waves leave the line.

    A wave is the unit of commit and of draining: under backlog it is to be large enough to sort
    and batch well, yet pass each stage in about half a second, however slow the model.

    Args:
        most: records of a wave at the most.
        max_latency: seconds that a record is to take at the most while the line keeps up.
        lengths_differ: whether larger waves sort better, so that a line far behind takes them;
            of pictures they would only take memory.
        clock: monotonic seconds; passed in by tests.
    """

    def __init__(
        self,
        most: int,
        max_latency: float | None = None,
        *,
        lengths_differ: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._most = most
        self._clock = clock
        self._target = _TARGET_S
        if max_latency is not None:
            self._target = min(_TARGET_S, max_latency / _IN_LINE)
        self._behind = _BEHIND_S if lengths_differ else _TARGET_S
        self._lock = Lock()
        self._records = min(_FIRST if lengths_differ else _LEAST, most)
        self._last: float | None = None
        self._together = 0

    @property
    def records(self) -> int:
        """Records that the next wave may hold."""
        with self._lock:
            return self._records

    def left(self, records: int, *, backlog: bool, behind: int = 0) -> None:
        """Note that a wave has left the line; only under backlog does its pace tell something.

        Args:
            records: that it held.
            backlog: whether more is in the line.
            behind: records that are still to be answered.
        """
        now = self._clock()
        with self._lock:
            since = now - self._last if self._last is not None else None
            if since is not None and since < _TOGETHER_S:
                self._together += records
                return
            before, self._together, self._last = self._together, records, now
            if since is None or not backlog or not before:
                return
            far = behind > _FAR_BEHIND * self._records
            fitting = int(before * (self._behind if far else self._target) / since)
            low, high = self._records // 2, self._records * 2
            self._records = min(max(min(max(fitting, low), high), _LEAST), self._most)


def pace_of(wave: WaveLimits, kind: str) -> Pace:
    """Give the pace of a line of `image`, `text` or `pair` records."""
    return Pace(wave.max_records, wave.max_latency, lengths_differ=kind != "image")
