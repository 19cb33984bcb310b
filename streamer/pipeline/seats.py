"""Who runs a model's batches: its sessions, as many batches at once as their device is worth."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import TypeVar

from streamer.infer import Session

Result = TypeVar("Result")


class Seats:
    """Gives sessions to work in the order in which it comes.

    A GPU's one session has two seats: while one batch is computed, the next one is put together and
    copied, and the one before is read. Several sessions have one each.

    Args:
        sessions: that share the device.
        name: of the model.
        alone: one that has the whole device, for work beside which there is none.
    """

    def __init__(
        self, sessions: Sequence[Session], name: str, alone: Session | None = None
    ) -> None:
        count = max(len(sessions), sessions[0].in_flight)
        self._free: SimpleQueue[Session] = SimpleQueue()
        for seat in range(count):
            self._free.put(sessions[seat % len(sessions)])
        self._alone = alone
        self._lock = Lock()
        self._given = 0
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix=f"infer-{name}")

    def submit(self, work: Callable[[Session], Result]) -> Future[Result]:
        """Run work with a session as soon as one is free."""
        with self._lock:
            self._given += 1

        def with_session() -> Result:
            try:
                if self._alone is not None and self._given == 1:  # later work finds others free
                    return work(self._alone)
                session = self._free.get()
                try:
                    return work(session)
                finally:
                    self._free.put(session)
            finally:
                with self._lock:
                    self._given -= 1

        return self._pool.submit(with_session)

    def close(self) -> None:
        """Wait for what runs, and forget what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
