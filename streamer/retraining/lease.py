"""One of many sidecars works."""

from threading import Event, Thread
from time import monotonic

import structlog

from streamer.broker import Lease, backoff
from streamer.config import Settings
from streamer.errors import BrokerError, StreamerError

_LOOK_EVERY_S = 1.0
_STOPPED_WITHIN_S = 10.0
_REBALANCED_WITHIN_S = 3.0


class Held:
    """Keeps the lease in a thread of its own: learning takes longer than a poll may wait.

    Attributes:
        mine: set while the lease is held.
        refused: why Kafka gives it to nobody with this identity, if it does not.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._stopping = Event()
        self.mine = Event()
        self.refused: BrokerError | None = None
        self._thread = Thread(target=self._run, name="lease", daemon=True)
        self._log = structlog.get_logger("retrain")

    def start(self) -> None:
        """Stand in line."""
        self._thread.start()

    def stop(self) -> None:
        """Leave it to another one."""
        self._stopping.set()
        self._thread.join(_STOPPED_WITHIN_S)

    def _run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            try:
                lease = Lease(
                    self._settings.kafka, self._group, self._settings.deployments.events_topic
                )
                seen = monotonic()
                try:
                    while not self._stopping.is_set():
                        if lease.held(_LOOK_EVERY_S):
                            self.mine.set()
                            seen = monotonic()
                        elif monotonic() - seen > _REBALANCED_WITHIN_S:
                            self.mine.clear()
                        tries, self.refused = 0, None
                finally:
                    self.mine.clear()
                    lease.close()
            except StreamerError as error:
                tries += 1
                if isinstance(error, BrokerError) and not error.retriable:
                    self.refused = error
                self._log.warning("the lease is lost, trying again", error=str(error))
                self._stopping.wait(backoff(tries))
