"""The daemon: topologies of one process, from their files to their end."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from streamer.broker import (
    certificates,
    check_client,
    check_consumer_settings,
    check_producer_settings,
    wait_for_brokers,
)
from streamer.config import Settings, Topology, load_topology
from streamer.deployments.decider import Decider
from streamer.deployments.marks import Marks
from streamer.endpoints import Endpoints
from streamer.errors import BrokerError, ConfigError, StreamerError
from streamer.formats import check_formats
from streamer.pipeline.assembly import Assembly, assembled
from streamer.pipeline.events import LineEvents
from streamer.pipeline.identity import transactional_id
from streamer.pipeline.inventory import tell_models
from streamer.pipeline.line import Line
from streamer.pipeline.model import Models
from streamer.pipeline.rollouts import Rollouts
from streamer.pipeline.room import room_findings
from streamer.pipeline.serving import Serving
from streamer.pipeline.startup import champions, gone_back, open_serving, trial_of_deployed
from streamer.pipeline.topics import prepare_topics, topic_findings
from streamer.runtime import give_back_memory, on_signals, steady_memory
from streamer.telemetry import Metrics

if TYPE_CHECKING:
    from streamer.telemetry.traces import Traces

_WATCH_EVERY_S = 0.1
_GIVE_BACK_EVERY_S = 20.0
_RETRY_S = 2.0
_EXIT_HUNG = 70


class Daemon:
    """Runs topologies until told to stop; also the health that the endpoints ask for."""

    def __init__(self, files: Sequence[Path], settings: Settings) -> None:
        self._settings = settings
        self._log = structlog.get_logger("daemon")
        self._stopping = Event()
        self._signalled = False
        self._process = uuid4().hex
        self._started = False
        self.metrics = Metrics()
        self.models = Models(settings.models)
        self.rollouts = Rollouts(settings, self.models, self.metrics)
        self.topologies = _read(files)
        self.events = {
            topology.name: LineEvents(topology.name, self.metrics, self.rollouts)
            for _, topology in self.topologies
        }
        for _, topology in self.topologies:
            topics = topology.source.topics
            self.metrics.topology(topology.name, topology.delivery, topology.group, topics)
        self._traces = _opened_traces(settings)
        self.endpoints = Endpoints(settings.http, self, self.metrics.registry, self.status)
        for name, ends in certificates(settings.kafka).items():
            self.metrics.certificate(name, ends)
        self.lines: list[Line] = []
        self.serving: Serving | None = None
        self.decider: Decider | None = None

    def assemble(self) -> list[tuple[Topology, Assembly]]:
        """Load every model; what does not fit together is found here, before any record is read."""
        for file, topology in self.topologies:
            check_consumer_settings(topology.source.kafka, f"{file}: source.kafka")
            check_producer_settings(topology.sink.kafka, f"{file}: sink.kafka")
            check_client(self._settings.kafka)
            formats = (topology.source.format, topology.sink.format)
            check_formats(formats, self._settings.schema_registry)
        return [
            (topology, assembled(topology, file, self.models, self.events[topology.name]))
            for file, topology in self.topologies
        ]

    def run(self) -> int:
        """Run until a signal or an error; give the exit code.

        Raises:
            StreamerError: what ended a line.
        """
        with self.endpoints:
            self._listen_to_signals()
            began = time.monotonic()
            topologies = [topology for _, topology in self.topologies]
            self.serving = open_serving(
                self._settings, self.models, self.metrics, topologies, self._stopping
            )
            try:
                ready = self._deployed_assembly()
                tell_models(self.models, self.metrics, self._log)
                self.metrics.started(time.monotonic() - began)
                self._started = True
                for topology, assembly in ready:
                    self._await_topics(topology)
                    if not self._stopping.is_set():
                        self._start(topology, assembly)
                self._watch()
            finally:
                if self.decider is not None:
                    self.decider.stop()
                self.rollouts.stop()
                if self.serving is not None:
                    self.serving.stop()
                self.models.close()
                if self._traces is not None:
                    self._traces.close()
        return 0

    def _deployed_assembly(self) -> list[tuple[Topology, Assembly]]:
        """Load what is deployed, and warm it up, before any group is joined."""
        serving = self.serving
        if serving is None:
            return self.assemble()
        self.models.deployed = {name: d.champion for name, d in serving.deployed.items()}
        self.models.trial = trial_of_deployed(self.models, serving)
        while True:
            try:
                ready = self.assemble()
                break
            except StreamerError as error:
                if not gone_back(self.models, serving, error):
                    raise
        for topology, assembly in ready:
            self.rollouts.join(topology, assembly.steps)
        serving.watch = self.rollouts.began
        serving.url = self.endpoints.advertised
        serving.first(self._stopping)
        serving.start(step for _, assembly in ready for step in assembly.steps)
        self.rollouts.start(serving.daemon)
        if self._settings.deployments.decide:
            marks = Marks(self.models.registry)
            self.decider = Decider(self._settings, serving.daemon, marks)
            self.decider.start()
        return ready

    def _await_topics(self, topology: Topology) -> None:
        """Wait for the brokers and for the topology's topics, as long as it takes."""
        while not self._stopping.is_set():
            wait_for_brokers(
                self._settings.kafka, give_up_after=None, stopping=self._stopping.is_set
            )
            if self._stopping.is_set():
                return
            try:
                prepare_topics(topology, self._settings, stopping=self._stopping.is_set)
            except BrokerError as error:
                if not error.retriable:
                    raise
                self._log.warning("Kafka does not serve yet, trying again", error=str(error))
                self._stopping.wait(_RETRY_S)
            else:
                return

    def _start(self, topology: Topology, assembly: Assembly) -> None:
        line = Line(
            topology,
            assembly,
            self._settings,
            self.events[topology.name],
            transactional_id(self._settings.instance, topology.name),
            traces=self._traces.line(topology.name, topology.group) if self._traces else None,
        )
        self.lines.append(line)
        self.metrics.line(topology.name, self._settings.line.memory, line.stalled_for)
        line.start()
        self._log.info(
            "reads",
            topology=topology.name,
            topics=list(topology.source.topics),
            group=topology.group,
            delivery=topology.delivery,
            models=[f"{s.model.name}:{s.model.champion.version_name}" for s in assembly.steps],
        )

    def stop(self) -> None:
        """Finish what is in flight, commit and end; as the first signal does."""
        self._stopping.set()

    def _watch(self) -> None:
        """Wait for the end of the lines: a signal, or an error that ends them all."""
        deadline: float | None = None
        give_back_at = time.monotonic()
        while not all(line.ended.is_set() for line in self.lines):
            self._stopping.wait(_WATCH_EVERY_S) if not self._stopping.is_set() else time.sleep(
                _WATCH_EVERY_S
            )
            if time.monotonic() > give_back_at:
                give_back_memory()
                give_back_at = time.monotonic() + _GIVE_BACK_EVERY_S
            if any(line.error is not None for line in self.lines):
                self._stopping.set()
            if self._stopping.is_set():
                deadline = self._end_lines(deadline)
            for line in self.lines:
                if line.transaction_hangs():
                    self._log.error(
                        "a transaction hangs; the process ends", line=line.topology.name
                    )
                    os._exit(_EXIT_HUNG)
        errors = [line.error for line in self.lines if line.error is not None]
        if errors:
            raise errors[0]
        self._log.info(
            "stopped", **{name: e.status()["records_answered"] for name, e in self.events.items()}
        )

    def _end_lines(self, deadline: float | None) -> float:
        """Let the lines finish what is in flight until a deadline, which is set once."""
        if deadline is None:
            deadline = time.monotonic() + self._settings.line.drain_timeout
            self._log.info("stopping: what is in flight is finished first")
        for line in self.lines:
            line.stop()
            if time.monotonic() > deadline:
                line.abandon()
        return deadline

    def _listen_to_signals(self) -> None:
        if current_thread() is not main_thread():
            return
        on_signals(self._heard, signal.SIGINT, signal.SIGTERM)

    def _heard(self, number: int) -> None:
        """End in order; told twice, at once."""
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
        self._stopping.set()

    def started(self) -> tuple[bool, str]:
        """Whether models are warm and the groups are being joined."""
        return self._started, "" if self._started else "models are being loaded"

    def ready(self) -> tuple[bool, str]:
        """Whether every line is a member of its group; an empty assignment counts."""
        if not self._started:
            return self.started()
        joined = {line.topology.name for line in self.lines if line.joined}
        waiting = [topology.name for _, topology in self.topologies if topology.name not in joined]
        return (
            not waiting,
            f"not a member of the group yet: {', '.join(waiting)}" if waiting else "",
        )

    def live(self) -> tuple[bool, str]:
        """Whether every line moves or is idle."""
        limit = self._settings.line.stall_timeout
        for line in self.lines:
            if line.error is not None:
                return False, f"{line.topology.name}: {line.error}"
            if line.stalled_for() > limit:
                return False, f"{line.topology.name}: nothing has moved for {limit:.0f} s"
        return True, ""

    def status(self) -> dict[str, Any]:
        """Give what the daemon does, as plain values without secrets."""
        return {
            "instance": self._settings.instance,
            "process": self._process,
            "models": self.serving.status() if self.serving is not None else {},
            "rollouts": self.rollouts.status(),
            "decider": self.decider.status() if self.decider is not None else {},
            "topologies": {
                line.topology.name: {
                    "delivery": line.topology.delivery,
                    "group": line.topology.group,
                    "topics": list(line.topology.source.topics),
                    "sink": line.topology.sink.topic,
                    "deadletter": line.topology.deadletter_topic,
                    "joined": line.joined,
                    "assignment": sorted(str(p) for p in line.assignment.epochs()),
                    "in_flight_bytes": line.budget.taken_bytes,
                    "decode_threads": line.decode_threads,
                    "steps": {
                        step.name: {
                            "task": step.task,
                            "from": step.origin,
                            "model": step.model.name,
                            "version": step.model.champion.version_name,
                            "device": step.model.champion.sessions[0].device,
                            "provider": step.model.champion.sessions[0].provider,
                            "sessions": len(step.model.champion.sessions),
                            "batch_bound": step.model.champion.bounds.items,
                            "batch_invariant": step.model.champion.probe.batch_invariant,
                        }
                        for step in line.assembly.steps
                    },
                    **self.events[line.topology.name].status(),
                }
                for line in self.lines
            },
        }


def _opened_traces(settings: Settings) -> "Traces | None":
    """Open the way for traces, if there are to be any; OpenTelemetry is imported only then."""
    if not settings.traces.enabled:
        return None
    from streamer.telemetry.traces import Traces

    return Traces(settings.traces, settings.instance)


def run_topologies(files: Sequence[Path], settings: Settings) -> int:
    """Run the daemon in the foreground; give its exit code."""
    steady_memory()
    return Daemon(files, settings).run()


def check_topologies(
    files: Sequence[Path],
    settings: Settings,
    *,
    connect: bool,
) -> list[str]:
    """Check topologies, models and, if asked, topics; change nothing.

    Raises:
        StreamerError: the first thing that would keep the daemon from running.
    """
    daemon = Daemon(files, settings)
    findings = []
    try:
        if connect:
            refs = [ref for _, one in daemon.topologies for ref in one.models.values()]
            with suppress(BrokerError):  # told below, behind what is wrong with the files
                wait_for_brokers(settings.kafka, give_up_after=5.0)
                daemon.models.deployed = champions(refs, settings)
        for topology, assembly in daemon.assemble():
            findings.append(
                f"{topology.name}: {len(assembly.steps)} steps, records are {assembly.kind}"
            )
            findings += [
                f"{topology.name}: {step.name}: {step.task} by {step.model.name} "
                f"{step.model.champion.version_name} on {step.model.champion.described()}"
                for step in assembly.steps
            ]
            findings += [
                f"warning: {topology.name}: {step.name}: {caution}"
                for step in assembly.steps
                for caution in step.model.champion.cautions()
            ]
            if settings.models.swap == "beside":
                models = dict.fromkeys(step.model for step in assembly.steps)
                findings += [f"warning: {topology.name}: {f}" for f in room_findings(models)]
            findings += [
                f"warning: {topology.name}: no step uses the model '{name}'"
                for name in topology.unused_models
            ]
            if connect:
                wait_for_brokers(settings.kafka, give_up_after=5.0)
                findings += [f"{topology.name}: {f}" for f in topic_findings(topology, settings)]
    finally:
        daemon.models.close()
    return findings


def _read(files: Sequence[Path]) -> list[tuple[Path, Topology]]:
    """Read the files.

    Raises:
        ConfigError: also if two topologies have the same name.
    """
    if not files:
        message = "name at least one topology file"
        raise ConfigError(message)
    read: dict[str, tuple[Path, Topology]] = {}
    for file in dict.fromkeys(path.absolute() for path in files):
        topology = load_topology(file)
        if topology.name in read:
            message = f"{file}: the name '{topology.name}' is taken by {read[topology.name][0]}"
            raise ConfigError(message)
        read[topology.name] = (file, topology)
    return list(read.values())


__all__ = ["Daemon", "StreamerError", "check_topologies", "run_topologies"]
