"""A topology with its topics, its load, its daemons and its watch."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import yaml
from kafka.admin import KafkaAdminClient
from support.daemon import Daemon
from support.topics import Topics
from support.waiting import eventually

from faults.ledger import Crash, Verdict, verdict
from faults.load import Load
from faults.models import DEADLY, moods
from faults.versions import CRASHES
from faults.watch import Ends, Watch

Delivery = Literal["exactly-once", "at-least-once"]

SESSION_S = 3
TRANSACTION_S = 6
_CHILD = Path(__file__).with_name("child")
_ARRIVED_S = 0.5


class Site:
    """Brokers, and a folder for what runs on them.

    Args:
        brokers: where topics are made, written, and read again.
        folder: for topologies, models and logs.
        reached: where daemons reach the brokers, if by another way.
    """

    def __init__(self, brokers: str, folder: Path, *, reached: str | None = None) -> None:
        self.brokers = brokers
        self.reached = reached or brokers
        self.folder = folder
        eventually(lambda: _all_known(brokers), "every node knows all others")
        self.admin = KafkaAdminClient(bootstrap_servers=brokers.split(","))
        self.topics = Topics(brokers, self.admin)
        moods(folder / "models")

    def close(self) -> None:
        """Remove the topics."""
        self.topics.close()
        self.admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _all_known(brokers: str) -> bool:
    """Whether a client that opens now learns of all nodes, the controller among them."""
    addresses = brokers.split(",")
    admin = KafkaAdminClient(bootstrap_servers=addresses)
    try:
        return len(admin.describe_cluster()["brokers"]) == len(addresses)
    finally:
        admin.close()


class Flow:
    """One topology at work.

    Args:
        site: where.
        delivery: its guarantee.
        partitions: of the source; the outputs have two.
        topology: further settings of the topology.
    """

    def __init__(
        self, site: Site, delivery: Delivery, *, partitions: int = 3, **topology: Any
    ) -> None:
        self.site = site
        self.delivery: Delivery = delivery
        self.partitions = partitions
        any_time = {"message.timestamp.after.max.ms": str(2**62)}
        self.source = site.topics.make(partitions, prefix="texts", configs=any_time)
        self.sink = site.topics.make(2, prefix="moods")
        self.letters = site.topics.make(2, prefix="letters")
        self.name = f"flow-{uuid4().hex[:8]}"
        self.file = site.folder / f"{self.name}.yaml"
        given = {
            "name": self.name,
            "delivery": delivery,
            "source": {"topics": [self.source], "format": "text"},
            "model": "moods",
            "sink": {"topic": self.sink},
            "deadletter": {"topic": self.letters},
            "commit_interval": "500ms",
            **topology,
        }
        self.file.write_text(yaml.safe_dump(given, sort_keys=False))
        self.daemons: list[Daemon] = []
        self.watch = Watch(site.brokers, [self.sink, self.letters])
        self._load: Load | None = None

    def load(self, rate: float, most: int = 10**9) -> Load:
        """Start to write records."""
        self._load = Load(self.site.brokers, self.source, self.partitions, rate=rate, most=most)
        return self._load

    def daemon(self, *, delay_ms: float = 2, deadly: bool = False, **settings: str) -> Daemon:
        """Start a daemon; further STREAMER_ variables by name without prefix."""
        given = {
            "KAFKA__BOOTSTRAP_SERVERS": self.site.reached,
            "KAFKA__SESSION_TIMEOUT": f"{SESSION_S}s",
            "KAFKA__HEARTBEAT_INTERVAL": "1s",
            "KAFKA__TRANSACTION_TIMEOUT": f"{TRANSACTION_S}s",
            "HTTP__HOST": "127.0.0.1",
            "HTTP__PORT": "0",
            "LOG__FORMAT": "json",
            "MODELS__DIR": str(self.site.folder / "models"),
            **settings,
        }
        environment = {f"STREAMER_{name}": value for name, value in given.items()}
        path = os.pathsep.join(filter(None, [str(_CHILD), os.environ.get("PYTHONPATH")]))
        environment |= {"PYTHONPATH": path, "STREAM_FAULTS_DELAY_MS": str(delay_ms)}
        environment |= {"STREAM_FAULTS_CRASH": CRASHES}
        if deadly:
            environment["STREAM_FAULTS_DEADLY"] = str(DEADLY)
        daemon = Daemon([self.file], environment, self.site.folder)
        self.daemons.append(daemon)
        return daemon

    def at_work(self, ends: Ends | None = None, patience: float = 120) -> float:
        """Wait until each source partition has an answer behind these ends, or behind now's."""
        ends = ends if ends is not None else self.watch.ends()
        return self.watch.answered_again(ends, range(self.partitions), patience)

    def crash(self) -> Crash:
        """Note what there is after a process has ended and all it had sent has arrived.

        What others answer meanwhile is of partitions that the dead process did not have.
        """
        time.sleep(_ARRIVED_S)
        return Crash(self.watch.ends(), self.site.topics.committed(self.name, self.source))

    def drained(self, *, patience: float = 240) -> None:
        """Wait until the group has committed the source to its end."""
        ends = self.site.topics.ends(self.source)

        def seen() -> bool:
            assert any(one.process.poll() is None for one in self.daemons), "no daemon is left"
            committed = self.site.topics.committed(self.name, self.source)
            return all(committed.get(partition, 0) >= end for partition, end in ends.items())

        eventually(seen, f"{self.source} is answered to its end", patience, every=0.2)

    def finished(self) -> Verdict:
        """Stop the load, wait for the last answer, end the daemons gently, count."""
        if self._load is not None:
            self._load.stop()
        self.drained()
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGTERM)
                left(daemon)
        # what a dead process left open hides all behind it until the broker ends it
        eventually(lambda: not self.watch.in_doubt(), "no transaction is open", 5 * TRANSACTION_S)
        return verdict(self.site.topics, self.source, self.sink, self.letters)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        for daemon in self.daemons:
            daemon.kill()
        if self._load is not None:
            self._load.abandon()
        self.watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for daemon in self.daemons[-3:]:
                print(f"--- a daemon's log ends with\n{daemon.text[-6000:]}")  # noqa: T201
        self.close()


def left(daemon: Daemon) -> None:
    """Wait for the end of a daemon that was told to end, and fail unless it ended well.

    Python listens to no signal while it starts itself: then there is no daemon yet.
    """
    code = daemon.process.wait(60)
    asleep = code == -signal.SIGTERM and not daemon.text
    assert asleep or code == 0, f"ended with {code}: {daemon.text[-3000:]}"


@contextlib.contextmanager
def flowing(
    site: Site, delivery: Delivery, *, rate: float, most: int = 10**9, **topology: Any
) -> Iterator[tuple[Flow, Load]]:
    """Open a flow that is being written to."""
    with Flow(site, delivery, **topology) as flow:
        yield flow, flow.load(rate, most)
