"""The rollouts of a process: candidates beside champions, counted and told to the fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import structlog

from streamer.broker import Producer, backoff
from streamer.config import Settings, Topology
from streamer.deployments.counts import ArmCounts, Counts, comparison
from streamer.deployments.deployment import Deployment, now
from streamer.deployments.ledger import event_record, send
from streamer.deployments.rollout import KeySplit, Rollout
from streamer.errors import BrokerError, ConfigError, DownloadError, StreamerError
from streamer.models.successor import check_successor
from streamer.pipeline.model import Model, Models, ModelVersion
from streamer.pipeline.shadow import Shadow
from streamer.pipeline.step import Step
from streamer.pipeline.tally import Tally
from streamer.pipeline.topics import prepare_aside
from streamer.records import OutRecord, Wave
from streamer.telemetry import Metrics

_STOPPED_WITHIN_S = 5.0


@dataclass
class _Lane:
    """A topology that runs in this process."""

    topology: Topology
    steps: Sequence[Step]

    def of(self, model: Model) -> frozenset[str]:
        """Name the steps that a model works in."""
        return frozenset(step.name for step in self.steps if step.model is model)


@dataclass
class _Trial:
    """One rollout at work: a tally for each model object of the name, or a shadow each."""

    rollout: Rollout
    deployment: Deployment
    tallies: dict[Model, Tally] = field(default_factory=dict)
    shadows: dict[tuple[str, Model], Shadow] = field(default_factory=dict)
    failed: str | None = None


class Rollouts:
    """What a process does about candidates.

    Args:
        settings: where the brokers are, and the topics' names.
        models: of the process.
        metrics: of the process.
    """

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        self._settings = settings
        self._daemon = ""
        self._models = models
        self._metrics = metrics.rollouts
        self._log = structlog.get_logger("rollouts")
        self._lock = Lock()
        self._lanes: dict[str, _Lane] = {}
        self._trials: dict[str, _Trial] = {}
        self._ended: list[bytes] = []
        self._stopping = Event()
        self._soon = Event()
        self._thread = Thread(target=self._run, name="rollouts", daemon=True)

    def join(self, topology: Topology, steps: Sequence[Step]) -> None:
        """Take a topology in, before its line starts."""
        self._lanes[topology.name] = _Lane(topology, steps)

    def start(self, daemon: str) -> None:
        """Tell the fleet what this daemon counts, from now on."""
        self._daemon = daemon
        self._thread.start()

    def stop(self) -> None:
        """End shadows, and tell no more."""
        self._stopping.set()
        self._soon.set()
        with self._lock:
            trials, self._trials = self._trials, {}
        for trial in trials.values():
            _end(trial)
        if self._thread.is_alive():
            self._thread.join(_STOPPED_WITHIN_S)

    def began(self, name: str, deployment: Deployment, failed: str | None = None) -> None:
        """What is deployed of a model has changed, and serves; follow its rollout, if there is one.

        Args:
            name: the model, as the registry knows it.
            deployment: what is deployed now.
            failed: why the candidate could not be put to work.

        Raises:
            DownloadError: a shadow's candidate cannot be fetched just now.
        """
        with self._lock:
            there = self._trials.get(name)
            if there is not None and there.deployment.at == deployment.at:
                return
            trial = self._trial(name, deployment, failed)
            if trial is None:
                self._trials.pop(name, None)
            else:
                self._trials[name] = trial
        if there is not None:
            _end(there)
            self._metrics.ended(name)
            self._ended.append(self._key(name, there.deployment.at))
        if trial is not None:
            self._metrics.began(name, deployment.candidate or "", trial.rollout.mode)
            for shadow in trial.shadows.values():
                shadow.start()
        self._soon.set()

    def ran(self, version: ModelVersion, items: int, seconds: float) -> None:
        """A batch was run by some version."""
        for trial in tuple(self._trials.values()):
            for tally in tuple(trial.tallies.values()):
                tally.ran(version, items, seconds)

    def settled(self, topology: str, wave: Wave) -> None:
        """A wave of a topology was acknowledged; it still has its versions."""
        for trial in tuple(self._trials.values()):
            lane = self._lanes[topology]
            for model, tally in tuple(trial.tallies.items()):
                steps = lane.of(model)
                shadow = trial.shadows.get((topology, model))
                if shadow is not None:
                    shadow.offer(wave.items)
                elif steps and trial.rollout.mode != "shadow":
                    tally.settled(model.chosen(wave), steps, wave.items)

    def status(self) -> dict[str, Any]:
        """Give what is compared in this process, and how."""
        return {
            name: {
                "candidate": trial.deployment.candidate,
                "mode": trial.rollout.mode,
                "share": trial.rollout.share,
                "failed": counts.failed,
                **comparison(counts),
            }
            for name, trial, counts in self._counted()
        }

    def _trial(self, name: str, deployment: Deployment, failed: str | None) -> _Trial | None:
        try:
            rollout = Rollout.of(deployment)
        except ConfigError as error:
            self._log.warning("a rollout is not understood", model=name, error=str(error))
            return None
        if rollout is None:
            return None
        trial = _Trial(rollout, deployment, failed=failed)
        for model in self._models.following(name):
            candidate = model.chosen_now.candidate
            trial.tallies[model] = Tally(
                name, deployment.at, model.champion, candidate, trial.failed
            )
        if rollout.mode == "shadow" and failed is None:
            try:
                self._shadows(name, trial)
            except DownloadError:
                raise
            except StreamerError as error:
                trial.failed = str(error)
        return trial

    def _shadows(self, name: str, trial: _Trial) -> None:
        """Make the shadows of a trial, one for each topology that uses the model."""
        rollout, number = trial.rollout, trial.deployment.candidate or ""
        for model in trial.tallies:
            champion = model.champion.version
            version = self._models.version(model.ref, Path(), model.task, number)
            check_successor(version.manifest, champion.manifest, back=False)
            for lane in self._lanes.values():
                steps = [step.name for step in lane.steps if step.model is model]
                if not steps:
                    continue
                topology = lane.topology
                topic = rollout.shadow_topic or f"{topology.sink.topic}.shadow"
                prepare_aside(topic, topology, self._settings)
                trial.shadows[topology.name, model] = Shadow(
                    topology,
                    steps,
                    Tally(name, trial.deployment.at, model.champion, None),
                    (champion, version),
                    KeySplit(name, number, rollout.share),
                    topic,
                    self._settings,
                    lambda: Producer(self._settings.kafka),
                )

    def _counted(self) -> list[tuple[str, _Trial, Counts]]:
        """Give what each rollout has counted so far in this process."""
        with self._lock:
            trials = list(self._trials.items())
        found = []
        for name, trial in trials:
            parts = [shadow.counts(self._daemon, now()) for shadow in trial.shadows.values()]
            if not parts:
                parts = [tally.counts(self._daemon, now()) for tally in trial.tallies.values()]
            if parts:
                counts = parts[0]
                for part in parts[1:]:
                    counts += part
                failed = trial.failed or counts.failed
                found.append((name, trial, counts.model_copy(update={"failed": failed})))
        return found

    def _run(self) -> None:
        producer: Producer | None = None
        tries = 0
        while not self._stopping.is_set():
            try:
                records = self._records()
                if records:
                    producer = producer or Producer(self._settings.kafka)
                    send(producer, records)
                tries = 0
            except BrokerError as error:
                self._log.warning("the fleet cannot be told of rollouts", error=str(error))
                tries += 1
                if producer is not None:
                    producer.close(timeout=0)
                producer = None
                self._stopping.wait(backoff(tries))
            self._soon.wait(self._settings.deployments.heartbeat)
            self._soon.clear()
        if producer is not None:
            producer.close(timeout=0)

    def _records(self) -> list[OutRecord]:
        """Make the counts' records; what has ended goes with the next compaction."""
        ended, self._ended = self._ended, []
        records = [event_record(self._settings, None, key.decode()) for key in ended]
        for name, _, counts in self._counted():
            value = counts.model_dump_json().encode()
            records.append(event_record(self._settings, value, counts.key.decode()))
            arms = {"champion": _figures(counts.champion), "candidate": _figures(counts.candidate)}
            agreement = counts.agreed / counts.compared if counts.compared else None
            self._metrics.counted(name, arms, agreement, counts.shed)
        return records

    def _key(self, name: str, rollout: str) -> bytes:
        return Counts(daemon=self._daemon, model=name, rollout=rollout).key


def _end(trial: _Trial) -> None:
    for shadow in trial.shadows.values():
        shadow.stop()


def _figures(arm: ArmCounts) -> Mapping[str, float | None]:
    runs, logs, _ = arm.times
    return {
        "records": arm.records,
        "errors": arm.errors,
        "score": arm.scores[1] / arm.scores[0] if arm.scores[0] else None,
        "seconds": exp(logs / runs) if runs else None,
    }
