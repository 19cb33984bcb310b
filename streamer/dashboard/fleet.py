"""What the deployments and the events topic tell: versions, rollouts, runs, who did what."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Lock, Thread
from time import time
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from streamer.broker import wait_for_brokers
from streamer.config import Settings
from streamer.deployments.deployment import Deployment
from streamer.deployments.events import Changed, Fleet, Report, Swapped, read_event
from streamer.deployments.topics import Tail, there
from streamer.errors import StreamerError
from streamer.records import Record
from streamer.retraining.progress import STAGES, Told

_KEPT = 60
_POLL_S = 0.5
_AGAIN_S = 3.0
_GRACE_S = 1.0  # a client that looks for its brokers cannot be interrupted
_RUN = "retrain: "
_LEARNING = b"retraining/"
_SPEAKS_S = 120.0


class Reading(Protocol):
    """A topic that is read to its end, and on."""

    def to_end(self) -> Iterator[Record]:
        """Yield what is there."""

    def more(self, timeout: float) -> Iterator[Record]:
        """Yield what comes."""

    def close(self) -> None:
        """Close it."""


class Deployed:
    """Follows both topics from a thread; without them it knows nothing, and says so.

    Args:
        settings: where Kafka is.
        opened: opens one of the topics; passed in by tests.
    """

    def __init__(
        self, settings: Settings, opened: Callable[[Settings, str], Reading] = Tail
    ) -> None:
        self._settings = settings
        self._opened = opened
        self._lock = Lock()
        self._fleet = Fleet()
        self._deployments: dict[str, Deployment] = {}
        self._events: deque[Changed | Swapped] = deque(maxlen=_KEPT)
        self._learning: dict[str, tuple[float, Told]] = {}
        self._error: str | None = "not read yet"
        self._ended = Event()
        self._log = structlog.get_logger("page")
        self._thread = Thread(target=self._follow, name="deployed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._ended.set()
        self._thread.join(timeout=_GRACE_S)

    def urls(self) -> list[str]:
        """Give the addresses that living daemons and sidecars tell of themselves."""
        with self._lock:
            learning = [told for at, told in self._learning.values() if time() - at < _SPEAKS_S]
        speaking: list[Report | Told] = [*self.living(), *learning]
        return [one.url for one in speaking if one.url]

    def living(self) -> list[Report]:
        """Give the last reports of the daemons that live."""
        with self._lock:
            return self._fleet.alive(time())

    def state(self) -> dict[str, Any]:
        """Give what is known, newest first."""
        living = self.living()
        with self._lock:
            deployments, events = dict(self._deployments), list(self._events)
            error, learning = self._error, dict(self._learning)
        models = []
        for name, one in sorted(deployments.items()):
            serving = {r.daemon: r.models[name] for r in living if name in r.models}
            models.append(
                {
                    "model": name,
                    **one.model_dump(mode="json", exclude={"rules"}),
                    "serving": {
                        daemon: {"version": s.version, "state": s.state, "reason": s.reason}
                        for daemon, s in sorted(serving.items())
                    },
                }
            )
        shown = [_told(event) for event in reversed(events)]
        return {
            "error": error,
            "models": models,
            "events": shown,
            "runs": _runs(events),
            "learning": [_learning(told, at) for _, (at, told) in sorted(learning.items())],
        }

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._read()
            except StreamerError as error:
                with self._lock:
                    self._error = str(error)
                self._ended.wait(_AGAIN_S)

    def _read(self) -> None:
        if self._opened is Tail:
            wait_for_brokers(self._settings.kafka, give_up_after=0)  # says at once why not
            if not there(self._settings):
                with self._lock:
                    self._error = "nothing was ever deployed: no model comes from a registry"
                self._ended.wait(_AGAIN_S)
                return
        names = self._settings.deployments
        deployments = self._opened(self._settings, names.topic)
        try:
            events = self._opened(self._settings, names.events_topic)
            try:
                self._read_on(deployments, events)
            finally:
                events.close()
        finally:
            deployments.close()

    def _read_on(self, deployments: Reading, events: Reading) -> None:
        with self._lock:
            self._events.clear()
        for record in deployments.to_end():
            self._deployment(record)
        for record in events.to_end():
            self._event(record)
        with self._lock:
            self._error = None
        while not self._ended.is_set():
            for record in deployments.more(_POLL_S):
                self._deployment(record)
            for record in events.more(_POLL_S):
                self._event(record)

    def _deployment(self, record: Record) -> None:
        found = Deployment.read(record.value)
        name = (record.key or b"").decode("utf-8", "replace")
        with self._lock:
            if found is not None:
                self._deployments[name] = found
            elif record.value is None:
                self._deployments.pop(name, None)

    def _event(self, record: Record) -> None:
        if (record.key or b"").startswith(_LEARNING):
            self._learns(record)
            return
        event = read_event(record)
        with self._lock:
            self._fleet.note(record)
            if isinstance(event, Changed | Swapped):
                self._events.append(event)

    def _learns(self, record: Record) -> None:
        """Take note of what a sidecar tells; a later release may tell something else."""
        with suppress(ValidationError):
            told = Told.model_validate_json(record.value or b"")
            with self._lock:
                self._learning[told.model] = (record.timestamp / 1000, told)


def _learning(told: Told, at: float) -> dict[str, Any]:
    """Say how far a sidecar is: on the way through a run, or to the labels that begin one."""
    learnt = told.learnt if told.stage == "learns" else 0.0
    stage = (STAGES.index(told.stage) + learnt) / len(STAGES)
    collected = min(told.taken / told.due_at, 1.0) if told.due_at else None
    return {
        **told.model_dump(mode="json", exclude={"kind"}),
        "progress": stage if told.run is not None else collected,
        "silent": time() - at > _SPEAKS_S,
    }


def _told(event: Changed | Swapped) -> dict[str, Any]:
    """Say an event in words."""
    if isinstance(event, Swapped):
        reason = f": {event.reason}" if event.reason else f" in {event.seconds:.1f} s"
        text = f"{event.daemon} {event.outcome} {event.before} → {event.version}{reason}"
        return {"at": event.at, "model": event.model, "what": "swap", "text": text}
    versions = ""
    if event.after is not None:
        before = event.before.champion if event.before is not None else "nothing"
        after = event.after.candidate or event.after.champion
        versions = f"{before} → {after} "
    text = f"{versions}by {event.by}{': ' + event.reason if event.reason else ''}"
    return {"at": event.at, "model": event.model, "what": event.action, "text": text}


def _runs(events: list[Changed | Swapped]) -> list[dict[str, Any]]:
    """Gather what is told of training runs; newest first, one entry a run."""
    runs: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        if not isinstance(event, Changed) or not event.reason.startswith("run "):
            continue
        run, _, reason = event.reason.partition(": ")
        known = runs.setdefault((event.model, run), {"model": event.model, "run": run[4:]})
        known |= {"at": event.at, "state": event.action.removeprefix(_RUN), "reason": reason}
        if event.action == f"{_RUN}begun":
            known["began"] = event.at
    return list(reversed(runs.values()))
