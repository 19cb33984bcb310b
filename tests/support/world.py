"""Everything around a sidecar: topics, a model that knows little, and what is right of messages."""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import yaml
from prometheus_client import CollectorRegistry

from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings, ModelSettings
from streamer.deployments import Ledger, promoting
from streamer.retraining.place import Place
from streamer.retraining.plan import planned
from streamer.retraining.runs import Run, Runs
from streamer.retraining.sidecar import StoppedError
from streamer.retraining.store import Store
from streamer.retraining.work import Work
from streamer.telemetry.retraining import RetrainingMetrics
from support import learning
from support.daemon import Daemon, Daemons
from support.topics import Got, Sent, Topics


class Once:
    """What the work knows of its sidecar: it is the one, and ends when nothing is left to do."""

    once = True
    mine = True
    url = None

    def __init__(self, *, now: bool, until: float) -> None:
        self._until = until
        self.metrics = RetrainingMetrics()
        self.asked = Event()
        self.status: dict[str, Any] = {}
        if now:
            self.asked.set()

    def check(self) -> None:
        """End when it takes too long.

        Raises:
            StoppedError: it does.
        """
        if time.monotonic() > self._until:
            raise StoppedError("it took too long")

    def tell(self, status: dict[str, Any]) -> None:
        """Keep what is told."""
        self.status = status


class World:
    """Topics, a topology, a model that knows little, and the sidecar's file.

    Args:
        topics: makes, fills and reads them.
        daemons: starts them.
        broker: its address.
        tmp_path: where files go.
        write: writes the model's first version, given the registry's folder and a name.
        reads: the format of its source topic.
        step: how its step answers, if not as the model's manifest says.
        before: further models, each with a step of its name before that one.
        **retrain: sections of the sidecar's file.
    """

    def __init__(  # noqa: PLR0917 - what tests of the sidecar share
        self,
        topics: Topics,
        daemons: Daemons,
        broker: str,
        tmp_path: Path,
        write: Callable[[Path, str], object] = learning.model,
        reads: str = "text",
        step: Mapping[str, Any] | None = None,
        before: Mapping[str, Mapping[str, Any]] | None = None,
        **retrain: Any,
    ) -> None:
        self.topics, self.daemons, self.broker, self.folder = topics, daemons, broker, tmp_path
        name = uuid4().hex[:8]
        self.model = f"messages-{name}"
        write(tmp_path / "models", self.model)
        self.source = topics.make(2)
        self.sink, self.letters, self.labels = topics.make(2), topics.make(), topics.make()
        self.topology = {
            "name": f"messages-{name}",
            "delivery": "exactly-once",
            "source": {"topics": [self.source], "format": reads},
            "models": {**(before or {}), "taught": {"uri": f"registry:{self.model}"}},
            "steps": {
                **{one: {"model": one} for one in before or {}},
                "answer": {"model": "taught", **(step or {})},
            },
            "sink": {"topic": self.sink},
            "deadletter": {"topic": self.letters},
        }
        self.environment = {
            "MODELS__DIR": str(tmp_path / "models"),
            "DEPLOYMENTS__TOPIC": f"deployments-{name}",
            "DEPLOYMENTS__EVENTS_TOPIC": f"events-{name}",
            "DEPLOYMENTS__HEARTBEAT": "1s",
        }
        topics.own(f"deployments-{name}", f"events-{name}", f"{self.labels}.deadletters")
        self.file = tmp_path / "retrain.yaml"
        content = {
            "model": f"registry:{self.model}",
            "topology": str(daemons.file(self.topology)),
            "labels": {"topic": self.labels, "delay": 0},
            "set": str(tmp_path / "set"),
            "strategy": {"kind": "head"},
            "trigger": {"labels": 600},
            "gate": {"min_gain": "2%", "max_latency_ratio": 1000},
            "rollout": {"mode": "promote"},
            **retrain,
        }
        self.file.write_text(yaml.safe_dump(content))
        self.draw = random.Random(7)
        self._status: dict[str, Any] = {}
        self.metrics = CollectorRegistry()
        self._sidecars: list[learning.SidecarProcess] = []

    def daemon(self) -> Daemon:
        """Start a daemon."""
        return self.daemons.start(self.topology, **self.environment).ready()

    def configure(self, **changed: Any) -> None:
        """Change sections of the sidecar's file."""
        content = yaml.safe_load(self.file.read_text())
        for name, section in changed.items():
            merge = isinstance(section, dict) and isinstance(content.get(name), dict)
            content[name] = {**content[name], **section} if merge else section
        self.file.write_text(yaml.safe_dump(content))

    def sidecar(self, *arguments: str, kill_at: str | None = None) -> learning.SidecarProcess:
        """Start a sidecar; with `kill_at` one that is killed at a step of its (support.killing)."""
        below = os.pathsep.join(str(self.folder / name) for name in ("set", "models"))
        tests = str(Path(__file__).resolve().parents[1])
        killing = {
            "PYTHONPATH": os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")])),
            "STREAM_KILL_AT": kill_at or "",
            "STREAM_KILL_BELOW": below,
            "STREAM_KILL_LOG": str(self.folder / "steps.log"),
        }
        made = learning.SidecarProcess(
            self.file,
            self.environment,
            self.broker,
            arguments,
            more=killing if kill_at is not None else {},
        )
        self._sidecars.append(made)
        return made

    def work(self, *, now: bool = False, give_up_after: float = 120.0) -> None:
        """Let a sidecar work in this process until nothing is left to do, or no longer."""
        owner = Once(now=now, until=time.monotonic() + give_up_after)
        settings = self.settings()
        with ExitStack() as opened:
            work = Work(owner, planned(self.file, settings), settings, opened)
            with suppress(StoppedError):
                work.go()
        self._status, self.metrics = owner.status, owner.metrics.registry

    def status(self) -> dict[str, Any]:
        """What the last sidecar that worked in this process has told last."""
        return self._status

    def predict(
        self,
        score: Callable[[], float] = lambda: 0.5,
        version: str = "1",
        answer: Callable[[Got], str] | None = None,
    ) -> int:
        """Write an answer of a version for each message there is, as a daemon would."""
        says = answer or (lambda _: self.draw.choice(learning.LABELS))
        [step] = planned(self.file, self.settings()).topology.steps
        answers = []
        for got in self.topics.read(self.source):
            best = [{"label": says(got), "score": score()}]
            told = {"model": self.model, "version": version, "output": best}
            content = {"source": self.source_of(got), "predictions": {step: told}}
            answers.append(Sent(json.dumps(content).encode(), got.key))
        return self.topics.send(self.sink, answers)

    def settings(self) -> Settings:
        """The settings that the sidecar has."""
        names = {k: v for k, v in self.environment.items() if k.startswith("DEPLOYMENTS")}
        return Settings(
            kafka=KafkaSettings(bootstrap_servers=self.broker, transaction_timeout="6s"),
            models=ModelSettings(dir=self.folder / "models"),
            deployments=DeploymentSettings(
                topic=names["DEPLOYMENTS__TOPIC"], events_topic=names["DEPLOYMENTS__EVENTS_TOPIC"]
            ),
        )

    def ledger(self) -> Ledger:
        """What is deployed."""
        return Ledger(self.settings())

    def serve_first(self) -> Ledger:
        """Let the first version serve as far as Kafka knows: no daemon is needed for that."""
        ledger = self.ledger()
        ledger.change(self.model, "first", promoting("1", by="test"))
        return ledger

    def source_of(self, got: Got) -> dict[str, Any]:
        """What a prediction of a message names as its source."""
        place = {"partition": got.partition, "offset": got.offset, "timestamp": got.timestamp}
        return {"topic": self.source, **place}

    def label_all(self, wrong: float = 0.0) -> int:
        """Label all messages that are there, some of them wrongly."""
        labels = []
        for got in self.topics.read(self.source):
            source = self.source_of(got)
            truth = self.truth_of(got.value)
            said = self.draw.choice(learning.LABELS) if self.draw.random() < wrong else truth
            labels.append(learning.label_of(source, said))
        return self.topics.send(self.labels, labels)

    @property
    def place(self) -> Place:
        """Where the labelled set and the runs are."""
        return Place(str(self.folder / "set"))

    def kept(self) -> list[str]:
        """The names of all that is in the labelled set's files."""
        return sorted(row.name for row in Store(self.place).rows())

    def runs(self) -> list[Run]:
        """All runs."""
        return Runs(self.place).all()

    def close(self) -> None:
        """End what is still running, and show its log."""
        for one in self._sidecars:
            one.kill()
            sys.stdout.write(f"--- a sidecar's log ends with\n{one.text[-6000:]}\n")

    def send(
        self,
        count: int,
        labels: tuple[str, ...] = learning.LABELS,
        timestamp: int | None = None,
    ) -> list[str]:
        """Send messages, round-robin over the partitions; note what each is about."""
        truths = [self.draw.choice(labels) for _ in range(count)]
        sent = [
            Sent(learning.message(one, self.draw).encode(), timestamp=timestamp) for one in truths
        ]
        self.topics.send(self.source, sent)
        return truths

    def truth_of(self, value: bytes | None) -> str:
        """What a message is about."""
        assert value is not None
        words = value.decode().split()
        return next(
            one
            for one in (*learning.LABELS, *learning.NEW_LABELS)
            if any(word in learning.words_of(one) for word in words)
        )

    def truths(self) -> dict[tuple[int, int], str]:
        """What the messages are about, by partition and offset."""
        return {
            (got.partition, got.offset): self.truth_of(got.value)
            for got in self.topics.read(self.source)
        }

    def right(
        self, answers: list[dict[str, Any]], truths: dict[tuple[int, int], str]
    ) -> list[bool]:
        """Whether answers are right."""
        return [
            one["label"] == truths[one["source"]["partition"], one["source"]["offset"]]
            for one in answers
        ]

    def report(self, number: int = 1) -> dict[str, Any]:
        """What a run tells to programs."""
        path = self.folder / "set" / "runs" / f"{number:06d}" / "report.json"
        told: dict[str, Any] = json.loads(path.read_text())
        return told
