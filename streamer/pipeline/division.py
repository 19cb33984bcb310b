"""Cores divided between decoding and models: threads that decode at once, found while running."""

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from time import perf_counter
from typing import Literal, ParamSpec, TypeVar

import structlog

from streamer.runtime import usable_cores

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_FROM_CORES = 4
"""On fewer cores the system's scheduler divides as well: measured on two, see docs/tuning.md."""
_STRETCH_S = 2.0
_STRETCH_WAVES = 2
_FULL = 0.9
"""Threads that are busy for so much of the time are what the line waits for."""
_SPARE = 0.5
"""Fewer threads are enough where those that stay are busy for no more of the time than this: waves
differ, and one that takes twice as long must not keep the models waiting."""
_AGREED = 3
"""Stretches in a row that have to say so; twice as many after each time it was wrong."""
_MOST_AGREED = 96

_log = structlog.get_logger(__name__)


class Division:
    """Finds how many threads are to decode, from how busy they are while a backlog waits.

    Back-pressure says who waits for whom. Where models are slower, a decoded wave waits for room,
    and threads that decode stand still: fewer are enough, and the models' threads keep their cores.
    Where decoding is slower they never stand still, and more are wanted. So more come quickly, by a
    half, and some go, half at the most, when the rest would still have time to spare, several
    stretches in a row.

    Args:
        most: threads at the most, which is where it begins.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.threads = most
        self._agreed = 0
        self._busiest = 0.0
        self._needed = _AGREED
        self._went = False

    def ran(self, busy: float) -> bool:
        """Learn from a stretch under backlog; tell whether the number has changed.

        Args:
            busy: threads that were decoding, on average.
        """
        before = self.threads
        spare = busy <= _SPARE * (self.threads - 1)
        self._agreed = self._agreed + 1 if spare else 0
        self._busiest = max(self._busiest, busy) if self._agreed > 1 else busy
        if busy >= _FULL * self.threads and self.threads < self._most:
            self.threads = min(self.threads + (self.threads + 1) // 2, self._most)
            if self._went:
                self._needed = min(2 * self._needed, _MOST_AGREED)
            self._went = False
        elif self._agreed >= self._needed:
            self.threads = max(math.ceil(self._busiest / _SPARE), self.threads // 2, 1)
            self._agreed = 0
            self._went = True
        return self.threads != before


class DecodeThreads:
    """A pool that decodes waves, by as many threads at once as the division says.

    A wave that comes to an idle line gets all of them, so that a single picture or a small wave is
    answered as soon as can be: only waves that come on top of others are held to the division.

    Args:
        threads: as the settings have it; a number stays as it is.
        cores: that there are; all that may be used, if left out.
        clock: monotonic seconds; passed in by tests.
    """

    def __init__(
        self,
        threads: int | Literal["auto"],
        cores: int | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._most = (cores or usable_cores()) if threads == "auto" else threads
        learns = threads == "auto" and self._most >= _FROM_CORES
        self._division = Division(self._most) if learns else None
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="decode")
        self._clock = clock
        self._changed = Condition()
        self._waves = 0
        self._running = 0
        self._restart(0.0)

    @property
    def threads(self) -> int:
        """Threads that decode at once while a backlog waits."""
        return self._division.threads if self._division is not None else self._most

    def begin(self) -> None:
        """A wave comes: its work is submitted next."""
        if self._division is None:
            return
        with self._changed:
            self._waves += 1
            if self._waves > 1:
                self._look(self._clock())
            else:  # the line was waiting for records: that tells nothing of its threads
                self._restart(self._clock())

    def submit(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Future[Result]:
        """Run a part of a wave."""
        if self._division is None:
            return self._pool.submit(work, *arguments, **named)

        def in_turn() -> Result:
            with self._changed:
                self._changed.wait_for(self._has_turn)
                self._running += 1
            began = self._clock()
            try:
                return work(*arguments, **named)
            finally:
                with self._changed:
                    self._worked += self._clock() - began
                    self._running -= 1
                    self._changed.notify()

        return self._pool.submit(in_turn)

    def finish(self) -> None:
        """The wave that came first is decoded."""
        if self._division is not None:
            with self._changed:
                self._waves -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """End the threads, without what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _has_turn(self) -> bool:
        return self._running < (self.threads if self._waves > 1 else self._most)

    def _restart(self, now: float) -> None:
        self._since, self._worked, self._seen = now, 0.0, 0

    def _look(self, now: float) -> None:
        """Close a stretch if it is long enough, and learn from it."""
        self._seen += 1
        seconds = now - self._since
        if self._division is None or seconds < _STRETCH_S or self._seen < _STRETCH_WAVES:
            return
        busy = self._worked / seconds
        if self._division.ran(busy):
            _log.info("decode threads", threads=self.threads, most=self._most, busy=round(busy, 2))
            self._changed.notify_all()
        self._restart(now)
