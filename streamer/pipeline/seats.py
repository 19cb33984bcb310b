"""Who runs a model's batches: its sessions, as many batches at once as their device is worth."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import PriorityQueue
from typing import TypeVar

from streamer.infer import Session

Result = TypeVar("Result")


class Seats:
    """Gives sessions to work in the order in which it comes, the first session that is free.

    A GPU's one session has two seats: while one batch is computed, the next one is put together and
    copied, and the one before is read. Several sessions have one each.
    """

    def __init__(self, sessions: Sequence[Session], name: str) -> None:
        count = max(len(sessions), sessions[0].in_flight)
        self._sessions = sessions
        self._free: PriorityQueue[int] = PriorityQueue()
        for seat in range(count):
            self._free.put(seat)
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix=f"infer-{name}")

    def submit(self, work: Callable[[Session], Result]) -> Future[Result]:
        """Run work with a session as soon as one is free."""

        def with_session() -> Result:
            seat = self._free.get()
            try:
                return work(self._sessions[seat % len(self._sessions)])
            finally:
                self._free.put(seat)

        return self._pool.submit(with_session)

    def close(self) -> None:
        """Wait for what runs, and forget what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
