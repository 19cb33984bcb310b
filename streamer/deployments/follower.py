"""What a daemon does about deployments: follow them, and tell what it serves."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic

import structlog

from streamer.broker import Producer, backoff
from streamer.config import Settings
from streamer.deployments.deployment import Deployment
from streamer.deployments.ledger import deployed, event_record, send
from streamer.deployments.topics import Tail
from streamer.errors import BrokerError, StreamerError
from streamer.records import OutRecord

_POLL_S = 0.5
_TELL_EVERY_S = 0.1
_LAST_WORD_S = 5.0
_REPORTS_LIVE = 3


class Follower:
    """Reads the deployments topic to its end, then follows it from a thread.

    Args:
        settings: where the brokers are, and the topic's name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = structlog.get_logger("deployments")
        self._stopping = Event()
        self._tail: Tail | None = Tail(settings, settings.deployments.topic)
        self.deployed: dict[str, Deployment] = deployed(self._tail)
        self._thread: Thread | None = None

    def start(self, changed: Callable[[str, Deployment], None]) -> None:
        """Call `changed` for each change from now on."""
        self._thread = Thread(target=self._follow, args=(changed,), name="deployments", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._close()

    def _follow(self, changed: Callable[[str, Deployment], None]) -> None:
        tries = 0
        while not self._stopping.is_set():
            try:
                self._read(changed)
                tries = 0
            except StreamerError as error:
                # What serves goes on serving; the topic is read anew once it can be.
                self._log.warning("deployments cannot be followed, trying again", error=str(error))
                self._close()
                tries += 1
                self._stopping.wait(backoff(tries))

    def _read(self, changed: Callable[[str, Deployment], None]) -> None:
        if self._tail is None:
            self._tail = Tail(self._settings, self._settings.deployments.topic)
            for model, deployment in deployed(self._tail).items():  # what counts is the end
                self._note(model, deployment, changed)
        for record in self._tail.more(_POLL_S):
            model = (record.key or b"").decode(errors="replace")
            self._note(model, Deployment.read(record.value), changed)

    def _note(
        self,
        model: str,
        deployment: Deployment | None,
        changed: Callable[[str, Deployment], None],
    ) -> None:
        """Pass a change on; a model that is taken out goes on as it is."""
        if deployment is not None and self.deployed.get(model) != deployment:
            self.deployed[model] = deployment
            changed(model, deployment)

    def _close(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None


class Reporter:
    """Writes to the events topic from a thread; never makes its callers wait.

    Args:
        settings: where the brokers are, and the topic's name.
        daemon: whose reports they are.
        report: gives the report of the moment; asked at every heartbeat, and after `tell`.
    """

    def __init__(self, settings: Settings, daemon: str, report: Callable[[float], str]) -> None:
        self._settings = settings
        self._key = f"report/{daemon}"
        self._report = report
        self._log = structlog.get_logger("deployments")
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._stopping = Event()
        self._producer: Producer | None = None
        self._thread = Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Report from now on."""
        self._thread.start()

    def tell(self, event: str | None = None) -> None:
        """Write an event soon; without one, the report alone, because it has changed."""
        self._waiting.put(event)

    def stop(self) -> None:
        """Say that the daemon is gone, and end the thread."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join(_LAST_WORD_S)

    def _run(self) -> None:
        unsent: list[str] = []
        tries = 0
        while True:
            gone = self._stopping.is_set()
            try:
                self._send([*self._events(unsent), self._last(gone=gone)])
                unsent.clear()
                tries = 0
            except BrokerError as error:
                self._log.warning("the fleet cannot be told", error=str(error))
                self._close()
                tries += 1
                if not gone:
                    self._stopping.wait(backoff(tries))
            if gone:
                self._close()
                return
            if not unsent:
                self._wait(unsent)

    def _wait(self, unsent: list[str]) -> None:
        """Wait for something to tell, at most until the next heartbeat."""
        until = monotonic() + self._settings.deployments.heartbeat
        try:
            event = self._waiting.get(timeout=max(until - monotonic(), 0))
            while True:
                if event is not None:
                    unsent.append(event)
                event = self._waiting.get(timeout=_TELL_EVERY_S)
        except Empty:
            return

    def _events(self, unsent: list[str]) -> list[OutRecord]:
        return [event_record(self._settings, event.encode()) for event in unsent]

    def _last(self, *, gone: bool) -> OutRecord:
        valid_s = _REPORTS_LIVE * self._settings.deployments.heartbeat
        value = None if gone else self._report(valid_s).encode()
        return event_record(self._settings, value, self._key)

    def _send(self, records: list[OutRecord]) -> None:
        if self._producer is None:
            self._producer = Producer(self._settings.kafka)
        send(self._producer, records)

    def _close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None


__all__ = ["Follower", "Reporter"]
