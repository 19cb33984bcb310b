"""Versions swapped under load: what daemons serve, what they say, what the answers show."""

import json
import os
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from threading import Event, Thread
from uuid import uuid4

from kafka import KafkaConsumer, TopicPartition
from support.daemon import Daemon, command
from support.waiting import eventually

from faults import versions
from faults.flow import Delivery, Flow, Site
from faults.ledger import Verdict
from faults.load import Load
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings, ModelSettings
from streamer.deployments import Deployment, Ledger, promoting

HEARTBEAT_S = 5


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


class Arrivals:
    """When each record's answer came, from a reader of what is committed."""

    def __init__(self, there: Fleet, load: Load) -> None:
        self._load = load
        self._stopping = Event()
        self._consumer = KafkaConsumer(
            bootstrap_servers=there.site.brokers.split(","),
            group_id=None,
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
        )
        places = [TopicPartition(there.flow.sink, number) for number in (0, 1)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)
        self.found: list[tuple[float, float]] = []
        self._thread = Thread(target=self._run, name="arrivals", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            polled = self._consumer.poll(timeout_ms=100)
            now = time.monotonic()
            for records in polled.values():
                for record in records:
                    number = int(dict(record.headers)["number"])
                    self.found.append((now, now - self._load.times[number]))

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def p99(self, spans: list[tuple[float, float]]) -> float:
        """Give the latency, in seconds, that 99% of the answers within these spans stay below."""
        begins = [begin for begin, _ in spans]
        times = []
        for at, latency in list(self.found):
            number = bisect_right(begins, at) - 1
            if number >= 0 and at <= spans[number][1]:
                times.append(latency)
        times.sort()
        assert times, "no answers came"
        return times[int(len(times) * 0.99)]


@dataclass
class Swapped:
    """What many swaps showed.

    Attributes:
        seconds: what each took, from its deployment to the last wave of the version before.
        during_s: p99 of the latency while swaps went on.
        between_s: the same between them.
        rss_mb: resident memory after each swap.
    """

    delivery: Delivery
    verdict: Verdict
    versions: set[str]
    back: int
    seconds: list[float]
    during_s: float
    between_s: float
    rss_mb: list[float]

    def level(self) -> float:
        """Give memory at the end against memory after the fifth swap, both over some swaps."""
        return median(self.rss_mb[-10:]) / median(self.rss_mb[5:15])

    def __str__(self) -> str:
        took = sorted(self.seconds)
        memory = " ".join(f"{one:.0f}" for one in self.rss_mb[:: max(len(self.rss_mb) // 12, 1)])
        return (
            f"{len(took)} swaps, {self.delivery}: {self.verdict}; back {self.back}; a swap takes "
            f"{median(took):.2f} s, at the most {took[-1]:.2f}; p99 {self.during_s * 1000:.0f} ms "
            f"while one goes on, {self.between_s * 1000:.0f} ms between; memory at the end "
            f"{self.level():.3f} of that after five: {memory} MiB"
        )


def _swapped(
    there: Fleet, daemon: Daemon, swaps: int, rest_s: float, within_s: float
) -> tuple[list[tuple[float, float]], list[float]]:
    """Swap and rest in turns; give when each swap began and ended, and the memory after each."""
    spans, memory = [], []
    last = time.monotonic() + within_s
    for number in map(str, range(2, swaps + 2)):
        began = time.monotonic()
        if began > last:
            break
        there.promote(number)
        eventually(lambda n=number: there.state(daemon)["version"] == n, "it serves", 120)
        spans.append((began, time.monotonic()))
        time.sleep(rest_s)
        memory.append(daemon.rss_mb())
    return spans, memory


def many(
    site: Site,
    delivery: Delivery,
    *,
    swaps: int,
    rate: float,
    delay_ms: float,
    rest_s: float,
    within_s: float = inf,
) -> Swapped:
    """Swap again and again under load, with rests in between to compare with.

    Args:
        site: where.
        delivery: its guarantee.
        swaps: how many.
        rate: records a second.
        delay_ms: what each record takes longer in the model.
        rest_s: the rest after each swap.
        within_s: no swap is begun after so many seconds.
    """
    with fleet(site, delivery) as there:
        for number in range(1, swaps + 2):
            versions.add(there.registry, str(number))
        there.promote("1")
        load = there.flow.load(rate=rate)
        daemon = there.flow.daemon(delay_ms=delay_ms, **there.environment).ready()
        arrivals = Arrivals(there, load)
        there.flow.at_work()
        time.sleep(rest_s * 3)
        spans, memory = _swapped(there, daemon, swaps, rest_s, within_s)
        found = there.flow.finished()
        arrivals.stop()
        return Swapped(
            delivery,
            found,
            made_by(found),
            steps_back(found, there.flow.source),
            [end - begin for begin, end in spans],
            arrivals.p99(spans),
            arrivals.p99([(end + rest_s / 4, end + rest_s) for _, end in spans]),
            memory,
        )
