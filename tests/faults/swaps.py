"""Versions swapped under load: what daemons serve, what they say, what the answers show."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from support.daemon import Daemon, command
from support.waiting import eventually

from faults import versions
from faults.flow import Delivery, Flow, Site
from faults.ledger import Verdict
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings, ModelSettings
from streamer.deployments import Deployment, Ledger, promoting

HEARTBEAT_S = 0.5


class Fleet:
    """A flow whose model is a registered one, with topics of its own for what is deployed."""

    def __init__(self, site: Site, delivery: Delivery, *, partitions: int = 3) -> None:
        name = uuid4().hex[:8]
        self.site = site
        self.registry = site.folder / f"registry-{name}"
        self.registry.mkdir()
        topics = DeploymentSettings(
            topic=f"deployments-{name}", events_topic=f"events-{name}", heartbeat=f"{HEARTBEAT_S}s"
        )
        site.topics.own(topics.topic, topics.events_topic)
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=site.brokers, transaction_timeout="6s"),
            deployments=topics,
            models=ModelSettings(registry=str(self.registry)),
        )
        self.flow = Flow(site, delivery, partitions=partitions, model=f"registry:{versions.NAME}")

    @property
    def environment(self) -> dict[str, str]:
        """What daemons and commands are told."""
        return {
            "KAFKA__BOOTSTRAP_SERVERS": self.site.brokers,
            "KAFKA__TRANSACTION_TIMEOUT": "6s",
            "DEPLOYMENTS__TOPIC": self.settings.deployments.topic,
            "DEPLOYMENTS__EVENTS_TOPIC": self.settings.deployments.events_topic,
            "DEPLOYMENTS__HEARTBEAT": f"{HEARTBEAT_S}s",
            "MODELS__REGISTRY": str(self.registry),
        }

    def daemon(self, **settings: str) -> Daemon:
        """Start a daemon."""
        return self.flow.daemon(**{**self.environment, **settings})

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run `streamer models …`; give its exit code and what it said."""
        child = Path(__file__).with_name("child")
        path = os.pathsep.join(filter(None, [str(child), os.environ.get("PYTHONPATH")]))
        given = {f"STREAMER_{name}": value for name, value in self.environment.items()}
        environment = {**given, "PYTHONPATH": path, "STREAM_FAULTS_CRASH": versions.CRASHES}
        return command("models", *arguments, environment=environment, folder=self.site.folder)

    def promote(self, version: str) -> Deployment:
        """Write that a version serves, tried by nobody but the daemons."""
        ledger = Ledger(self.settings)
        return ledger.change(versions.NAME, "promote", promoting(version, by="the test"))

    def serving(self, daemon: Daemon) -> str:
        """Give the version that a daemon says it serves."""
        steps = daemon.status(self.flow.name).get("steps", {})
        return next((one["version"] for one in steps.values()), "")

    def serves(self, daemon: Daemon, version: str, patience: float = 60) -> None:
        """Wait until a daemon serves a version."""
        told = f"{version} is served"
        eventually(lambda: self.serving(daemon) == version, told, patience, every=0.1)

    def state(self, daemon: Daemon) -> dict[str, str]:
        """Give what a daemon says of its model."""
        told = json.loads(daemon.get("/status")[1])["models"]
        state: dict[str, str] = told[versions.NAME]
        return state

    def said(self) -> list[dict[str, object]]:
        """Give all events, oldest first."""
        events = self.site.topics.read(self.settings.deployments.events_topic)
        return [json.loads(one.value) for one in events if one.value]

    def close(self) -> None:
        """End what runs."""
        self.flow.close()


@contextmanager
def fleet(site: Site, delivery: Delivery, *, partitions: int = 3) -> Iterator[Fleet]:
    """Open a fleet."""
    opened = Fleet(site, delivery, partitions=partitions)
    with opened.flow:
        yield opened


def version_of(answer: dict[str, object]) -> str:
    """Give the version that made a prediction."""
    [said] = answer["predictions"].values()  # type: ignore[attr-defined]
    return str(said["version"])


def steps_back(found: Verdict, source: str) -> int:
    """Count answers of a partition that an older version made than the one before it."""
    by_partition: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _, one in found.answers:
        if "streamer.error.topic" not in dict(one.headers):
            topic, partition, offset = one.source
            assert topic == source
            by_partition[partition].append((offset, int(version_of(one.json))))
    count = 0
    for answers in by_partition.values():
        made = [version for _, version in sorted(answers)]
        count += sum(later < before for before, later in pairwise(made))
    return count


def made_by(found: Verdict) -> set[str]:
    """Name the versions that answered."""
    return {
        version_of(one.json)
        for _, one in found.answers
        if "streamer.error.topic" not in dict(one.headers)
    }


def wait_a_little(seconds: float) -> None:
    """Let records flow."""
    time.sleep(seconds)
