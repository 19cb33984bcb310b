"""What the sidecar that works does: labels in, figures out, runs when they are due."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Event
from typing import Any, Protocol

import structlog

from streamer.config import Settings
from streamer.labels import LiveAccuracy
from streamer.preprocess import preprocessor_for
from streamer.retraining.capture import Captured
from streamer.retraining.examples import Row
from streamer.retraining.finding import Finder
from streamer.retraining.forgetting import Forgetting, spots_of
from streamer.retraining.grading import wholly_right
from streamer.retraining.intake import Intake
from streamer.retraining.labelled import LabelledSet
from streamer.retraining.learner import Learner
from streamer.retraining.place import Place
from streamer.retraining.plan import Plan
from streamer.retraining.progress import Teller
from streamer.retraining.rollout_labels import RolloutLabels
from streamer.retraining.store import Store
from streamer.retraining.triggers import dropped, due
from streamer.retraining.truth import form_of
from streamer.retraining.workshop import NotNowError, Workshop
from streamer.telemetry.retraining import RetrainingMetrics

_AGAIN_S = 10.0
_TELL_EVERY_S = 5.0
_WINDOW_S = 7 * 86_400.0
_COMPACT_AFTER = 200
_DRIFT_EVERY = 50
_DROP_EVERY_S = 10.0


class Owner(Protocol):
    """The sidecar, as its work sees it.

    Attributes:
        metrics: what is counted.
        once: whether it ends after one run.
        asked: set when a run is wanted whatever the triggers say.
    """

    metrics: RetrainingMetrics
    once: bool
    asked: Event

    @property
    def mine(self) -> bool:
        """Whether this sidecar is the one that works."""

    @property
    def url(self) -> str | None:
        """Where its metrics and its status are."""

    def check(self) -> None:
        """Raise if the work is not wanted any more."""

    def tell(self, status: dict[str, Any]) -> None:
        """Show how things are."""


class Work:
    """What is done while the lease is held; made anew each time, from what is on the disk."""

    def __init__(self, sidecar: Owner, plan: Plan, settings: Settings, opened: ExitStack) -> None:
        self._sidecar = sidecar
        self._plan = plan
        self._file = plan.file
        self._log = structlog.get_logger("retrain")
        place = Place(plan.place)
        place.sweep()
        self._store = Store(place)
        self._store.tidy()
        rows = self._store.rows()
        self._unforgotten = [row for row in rows if row.withdrawn]
        self._set = LabelledSet(rows, plan.file.split, self._store.counts, self._store.firsts)
        delay = int(plan.file.labels.delay * 1000)
        window = int(_WINDOW_S * 1000) + delay
        self._live = LiveAccuracy(
            delay_ms=delay,
            window_ms=window,
            right=wholly_right(form_of(plan.version.manifest)),
        )
        budget = plan.file.budget
        self._teller = Teller(
            settings,
            plan.file.name,
            sidecar.metrics,
            plan.file.budget.max_time,
            url=lambda: sidecar.url,
        )
        opened.callback(self._teller.close)
        self._learner = Learner(
            plan.file.strategy,
            budget.threads,
            gpu_memory=budget.gpu_memory,
            place=place,
            tells=self._teller.learns,
        )
        self._shop = Workshop(
            settings,
            plan.file,
            plan.path,
            place,
            self._learner,
            mine=lambda: sidecar.mine,
            reaches=self._teller.reaches,
        )
        kind = preprocessor_for(plan.version.manifest, plan.version.folder).kind
        self._forgetting = Forgetting(place, self._shop.runs)
        capture = plan.file.labels.capture
        self._captured = Captured(place, capture).open() if capture is not None else None
        if self._captured is not None:
            gone = [one.name for one in self._forgetting.listed() if not self._set.row(one.name)]
            self._captured.forget(spots_of(gone))
        self._intake = Intake(
            settings,
            plan.file,
            plan.topology,
            plan.step,
            only_step=plan.only_step,
            task=plan.version.manifest.task,
            store=self._store,
            labelled=self._set,
            live=self._live,
            finder=lambda original: Finder(
                plan.topology.source,
                kind,
                plan.file.split.group,
                original,
                self._live.answer,
            ),
            captured=self._captured,
            folder=place,
        )
        opened.callback(self._intake.close)
        self._rollout = RolloutLabels(settings, plan.file.name, self._shop.deployed)
        opened.callback(self._rollout.close)
        self._began = time.time()
        self._told = 0.0
        self._untidy = 0
        self._looked_at = 0
        self._asked_at = 0.0
        self._not_before = 0.0

    def go(self) -> None:
        """Take in what comes and begin runs that are due, until the lease or the wish is gone."""
        self._shop.settle()
        self._teller.ends()
        self._forget(self._unforgotten)
        while True:
            self._sidecar.check()
            self._intake.answers()
            before = self._store.sequence
            withdrawn = self._intake.labels()
            self._untidy += self._store.sequence - before
            self._forget(withdrawn)
            if time.monotonic() - self._told > _TELL_EVERY_S:
                self._tell()
            if self._untidy >= _COMPACT_AFTER:
                self._compact()
            if not self._intake.caught_up():
                continue
            why = self._due()
            if why is not None:
                self._run(why)
            if self._sidecar.once and not self._sidecar.asked.is_set():
                self._tell()
                return

    def _due(self) -> str | None:
        if time.monotonic() < self._not_before:
            return None
        if self._sidecar.asked.is_set():
            return "asked for"
        return due(
            self._file.trigger,
            taken=self._set.counts["taken"],
            last=self._shop.runs.last(),
            now_s=time.time(),
            began_s=self._began,
            drop=self._dropped,
            drift=self._drifted,
        )

    def _dropped(self) -> str | None:
        if self._asked_at and time.monotonic() - self._asked_at < _DROP_EVERY_S:
            return None
        self._asked_at = time.monotonic()
        deployment = self._shop.deployed()
        if deployment is None:
            return None
        cohorts = self._live.cohorts(int(time.time() * 1000))
        return dropped(cohorts, self._file.name, deployment.champion)

    def _drifted(self) -> str | None:
        """Compare what has come since the last run with what there was before."""
        deployment, last = self._shop.deployed(), self._shop.runs.last()
        new = self._set.counts["taken"]
        if deployment is None or last is None or new < self._looked_at + _DRIFT_EVERY:
            return None
        self._looked_at = new
        champion = self._shop.champion(deployment)
        return self._shop.drift(self._store, self._set, champion, self._sidecar.check)

    def _run(self, why: str) -> None:
        self._sidecar.metrics.began(self._file.name)
        self._log.info("a run begins", why=why)
        self._teller.begins(self._shop.runs.following, why)
        verdict = "postponed"
        try:
            run = self._shop.run(why, self._store, self._set, self._goes_on)
            verdict = run.verdict or verdict
            self._sidecar.asked.clear()
        except NotNowError as error:
            self._log.info("no run now", reason=str(error))
            self._not_before = time.monotonic() + _AGAIN_S
        finally:
            self._sidecar.metrics.ended(self._file.name, verdict)
            self._teller.ends()
            self._tell()

    def _goes_on(self) -> None:
        self._sidecar.check()
        self._teller.goes_on()

    def _forget(self, withdrawn: Sequence[Row]) -> None:
        """Forget what was withdrawn; a kill in the midst of it has it done again.

        The shards come last: as long as they have the withdrawals, these are not done with.
        """
        if not withdrawn:
            return
        names = self._forgetting.note(withdrawn)
        if self._captured is not None:
            self._captured.forget(spots_of(names))
        self._compact()

    def _compact(self) -> None:
        gone = self._store.compact()
        self._untidy = 0
        self._log.info("the set is compacted", rows_removed=gone, version=self._store.sequence)

    def _tell(self) -> None:
        """Show figures and state."""
        self._told = time.monotonic()
        name = self._file.name
        runs = self._shop.runs
        sides = Counter[str](one.side for one in self._set.examples(runs.retired))
        metrics = self._sidecar.metrics
        metrics.labels(name, self._set.counts)
        metrics.examples(name, sides, self._store.sequence, runs.looks)
        now_ms = int(time.time() * 1000)
        self._rollout.tell(self._live, now_ms)
        figures = self._live.versions(now_ms)
        metrics.live(figures)
        last = runs.last()
        labels = self._file.trigger.labels
        self._teller.collected(
            taken=self._set.counts["taken"],
            due_at=None if labels is None else labels + (last.taken if last is not None else 0),
            examples=dict(sides),
            live={
                version: (one.accuracy, one.random)
                for (_, model, version), one in figures.items()
                if model == name
            },
            last=None if last is None else f"{last.verdict}: {'; '.join(last.reasons)}",
        )
        self._sidecar.tell(
            {
                "model": name,
                "works": True,
                "learns": self._plan.text,
                "set": {
                    "place": self._plan.place,
                    "version": self._store.sequence,
                    "examples": dict(sides),
                    "labels": dict(self._set.counts),
                },
                "looks": runs.looks,
                "live": {
                    f"{step} {model} {version}": {
                        "accuracy": one.accuracy,
                        "reviewed": one.reviewed,
                        "coverage": one.coverage,
                        "answered": one.answered,
                        "random_labelled": one.random,
                        "random_coverage": one.random_coverage,
                    }
                    for (step, model, version), one in figures.items()
                },
                "last_run": None
                if last is None
                else {
                    "number": last.number,
                    "verdict": last.verdict,
                    "version": last.version,
                    "reasons": list(last.reasons),
                },
            }
        )
