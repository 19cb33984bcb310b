"""How far the sidecar is: told to the events topic, to metrics, and on a terminal's bar."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamer.broker import Producer
from streamer.config import Settings
from streamer.deployments.deployment import now
from streamer.deployments.ledger import event_record, send
from streamer.errors import BrokerError
from streamer.telemetry.retraining import RetrainingMetrics

Stage = Literal["collects", "cuts", "learns", "compares", "writes", "deploys"]
STAGES: tuple[Stage, ...] = ("collects", "cuts", "learns", "compares", "writes", "deploys")
_TELL_EVERY_S = 1.0


class Told(BaseModel):
    """What the sidecar that works is at; an event, of which the last stands.

    Attributes:
        at: when, in ISO 8601, UTC.
        url: where its metrics and its status are.
        stage: `collects` labels; or of a run: `cuts` the lesson, `learns`, `compares` both
            versions, `writes` the report and the version, `deploys` it.
        run: number of the run that goes on.
        why: it was begun.
        learnt: share of its epochs, while it learns on weights.
        seconds: since it began; and how many it may take.
        taken: labels taken into the set so far; and by how many a run is due.
        examples: by side.
        live: accuracy on the random share, by version; with how many labelled records it is of.
        last: verdict of the last run, with its reasons.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["retraining"] = "retraining"
    at: str = ""
    model: str
    url: str | None = None
    stage: Stage = "collects"
    run: int | None = None
    why: str | None = None
    learnt: float = 0.0
    seconds: float = 0.0
    limit_s: float = 0.0
    taken: int = 0
    due_at: int | None = None
    examples: dict[str, int] = {}
    live: dict[str, tuple[float | None, int]] = {}
    last: str | None = None

    @property
    def key(self) -> str:
        """The event's key."""
        return f"retraining/{self.model}"


class Teller:
    """Tells it; a Kafka that does not take it is no reason to stop learning.

    Args:
        settings: where the brokers are, and the topic's name.
        model: that learns.
        metrics: where the stage is shown.
        limit_s: what a run may take.
        url: gives where the sidecar's own metrics and status are.
    """

    def __init__(
        self,
        settings: Settings,
        model: str,
        metrics: RetrainingMetrics,
        limit_s: float,
        url: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._url = url
        self._log = structlog.get_logger("retrain")
        self._producer: Producer | None = None
        self._now = Told(model=model, limit_s=limit_s)
        self._began: float | None = None
        self._sent = -_TELL_EVERY_S
        self._bar: Progress | None = None

    def collected(self, **figures: object) -> None:
        """Tell the figures of the set: `taken`, `due_at`, `examples`, `live`, `last`."""
        self._now = self._now.model_copy(update=figures)
        self._tell()

    def begins(self, run: int, why: str) -> None:
        """A run begins."""
        self._began = monotonic()
        self._now = self._now.model_copy(update={"run": run, "why": why})
        if sys.stderr.isatty():
            self._bar = _bar(f"run {run}")
        self.reaches("cuts")

    def reaches(self, stage: Stage) -> None:
        """A run comes to a stage."""
        self._now = self._now.model_copy(update={"stage": stage})
        self._metrics.reached(self._now.model, stage, STAGES)
        if self._bar is not None:
            task, done = self._bar.task_ids[0], STAGES.index(stage)
            self._bar.update(task, completed=done, stage=stage, refresh=True)
        self._tell()

    def learns(self, share: float) -> None:
        """A run has learnt so much of what it may learn."""
        self._now = self._now.model_copy(update={"learnt": round(share, 3)})
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=STAGES.index("learns") + share)
        self.goes_on()

    def goes_on(self) -> None:
        """Something moves; told now and then."""
        if monotonic() - self._sent >= _TELL_EVERY_S:
            self._tell()

    def ends(self) -> None:
        """The run is over."""
        self._began = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._now = self._now.model_copy(update={"run": None, "why": None, "learnt": 0.0})
        self.reaches("collects")

    def close(self) -> None:
        """Close the connections."""
        if self._bar is not None:
            self._bar.stop()
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None

    def _tell(self) -> None:
        self._sent = monotonic()
        seconds = monotonic() - self._began if self._began is not None else 0.0
        self._metrics.takes(self._now.model, seconds)
        told = self._now.model_copy(update={"at": now(), "seconds": seconds, "url": self._url()})
        try:
            self._producer = self._producer or Producer(self._settings.kafka)
            send(
                self._producer,
                [event_record(self._settings, told.model_dump_json().encode(), told.key)],
            )
        except BrokerError as error:
            self._log.warning("how far the sidecar is was not told", error=str(error))
            self.close()


def _bar(title: str) -> Progress:
    """Show a bar on the terminal."""
    made = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    made.add_task(title, total=len(STAGES), stage="")
    made.start()
    return made
