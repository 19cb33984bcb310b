"""Metrics of the retraining sidecar."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge

from streamer.telemetry.families import Families


class Live(Protocol):
    """How a version fares on labelled records."""

    @property
    def accuracy(self) -> float | None:
        """On the random share."""

    @property
    def reviewed(self) -> float | None:
        """On all that are labelled."""

    @property
    def coverage(self) -> float:
        """Labelled by answered."""

    @property
    def random_coverage(self) -> float:
        """The same of the random share."""

    @property
    def random(self) -> int:
        """Labelled records of the random share."""


class RetrainingMetrics:
    """What the sidecar tells: labels, the set, runs, live accuracy.

    Attributes:
        registry: what is shown at `/metrics`.
        families: those that there are, for the reference page.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.families = Families(self.registry)
        made = self.families
        self._labels = made.gauge(
            "labels_records",
            "Records of the labels topic since the set began, by what became of them",
            "model",
            "outcome",
        )
        self._examples = made.gauge(
            "labelled_set_examples", "Examples of the labelled set", "model", "side"
        )
        self._version = made.gauge("labelled_set_version", "The labelled set's version", "model")
        self._runs = made.counter(
            "retraining_runs", "Runs that have ended, by their verdict", "model", "verdict"
        )
        self._running = made.gauge(
            "retraining_running", "1 while a challenger is learnt and tried", "model"
        )
        self._stage = made.gauge(
            "retraining_stage", "1 for the stage that a run has come to", "model", "stage"
        )
        self._seconds = made.gauge(
            "retraining_run_seconds", "What the run that goes on has taken; 0 if none", "model"
        )
        self._holds = made.gauge(
            "retraining_lease", "1 while this sidecar is the one that works", "model"
        )
        self._looks = made.gauge(
            "retraining_looks", "Looks at the held-out records so far", "model"
        )
        live = ("step", "model", "version")
        self._accuracy = made.gauge(
            "live_accuracy_ratio",
            "Share of right answers among labelled records of the random share",
            *live,
        )
        self._reviewed = made.gauge(
            "live_reviewed_accuracy_ratio", "The same of all labelled records", *live
        )
        self._coverage = made.gauge(
            "live_label_coverage_ratio", "Labelled answers by all that are old enough", *live
        )
        self._random_coverage = made.gauge(
            "live_random_coverage_ratio",
            "Labelled answers of the random share by all of it: what people skip may bias it",
            *live,
        )
        self._labelled = made.gauge(
            "live_labelled_records", "Labelled records of the random share", *live
        )
        self._shown: set[tuple[str, str, str]] = set()

    def labels(self, model: str, counts: Mapping[str, int]) -> None:
        """So many labels had this or that outcome."""
        for outcome, count in counts.items():
            self._labels.labels(model, outcome).set(count)

    def examples(self, model: str, sides: Mapping[str, int], version: int, looks: int) -> None:
        """The set is so large."""
        for side, count in sides.items():
            self._examples.labels(model, side).set(count)
        self._version.labels(model).set(version)
        self._looks.labels(model).set(looks)

    def holds(self, model: str, *, held: bool) -> None:
        """Whether this sidecar works, or waits for another one."""
        self._holds.labels(model).set(held)

    def began(self, model: str) -> None:
        """A run begins."""
        self._running.labels(model).set(1)

    def ended(self, model: str, verdict: str) -> None:
        """A run is over."""
        self._running.labels(model).set(0)
        self._runs.labels(model, verdict).inc()

    def reached(self, model: str, stage: str, stages: Iterable[str]) -> None:
        """A run has come to a stage."""
        for one in stages:
            self._stage.labels(model, one).set(one == stage)

    def takes(self, model: str, seconds: float) -> None:
        """The run that goes on has taken so long."""
        self._seconds.labels(model).set(seconds)

    def live(self, figures: Mapping[tuple[str, str, str], Live]) -> None:
        """Versions fare so: by step, model and version."""
        for gone in self._shown - set(figures):
            for family in self._of_versions:
                family.remove(*gone)
        self._shown = set(figures)
        for version, one in figures.items():
            for family, value in zip(
                self._of_versions,
                (one.accuracy, one.reviewed, one.coverage, one.random_coverage, one.random),
                strict=True,
            ):
                family.labels(*version).set(float("nan") if value is None else value)

    @property
    def _of_versions(self) -> tuple[Gauge, ...]:
        return (
            self._accuracy,
            self._reviewed,
            self._coverage,
            self._random_coverage,
            self._labelled,
        )
