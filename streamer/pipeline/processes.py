"""`streamer run --processes N`: daemons side by side in one group, watched by one that serves HTTP.

One interpreter runs one line's Python; where that is the limit, and not the model, more processes
on the same machine help. Each is a member of the group; models lie on disk once.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from streamer.config import Settings
from streamer.endpoints import Endpoints

_HOST = "127.0.0.1"
_ASK_S = 5.0
_WITNESS = """
import os, sys
if not sys.stdin.read():
    for process in sys.argv[1:]:
        try:
            os.kill(int(process), 15)
        except ProcessLookupError:
            pass
"""
_WATCH_EVERY_S = 0.1
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this very machine
_GRACE_S = 10.0


@dataclass
class Child:
    """One daemon, as its parent sees it; `told` once it was sent a signal."""

    number: int
    process: "subprocess.Popen[bytes]"
    port: int
    told: bool = False

    def get(self, path: str) -> tuple[int, str]:
        """Ask its endpoints; (0, why) if it does not answer."""
        try:
            url = f"http://{_HOST}:{self.port}{path}"
            with _OPENER.open(url, timeout=_ASK_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, f"{type(error).__name__}: {error}"


@dataclass(eq=False)
class Fleet(Collector):
    """All daemons of one parent: their health as one, their metrics side by side.

    Attributes:
        children: the daemons.
        instance: the parent's name.
    """

    children: list[Child] = field(default_factory=list)
    instance: str = ""

    def started(self) -> tuple[bool, str]:
        """Whether all have loaded their models."""
        return self._all("/startupz")

    def ready(self) -> tuple[bool, str]:
        """Whether all are members of their groups."""
        return self._all("/readyz")

    def live(self) -> tuple[bool, str]:
        """Whether all move or are idle."""
        return self._all("/livez")

    def status(self) -> dict[str, Any]:
        """Give what each tells of itself, and what they do together."""
        told: dict[str, dict[str, Any]] = {}
        for child, (_, text) in self._asked("/status"):
            try:
                told[str(child.number)] = json.loads(text)
            except ValueError:
                told[str(child.number)] = {"error": text}
        return {
            "instance": self.instance,
            "process": f"{self.instance} {os.getpid()}",
            "topologies": _together([one.get("topologies") or {} for one in told.values()]),
            "processes": told,
        }

    def describe(self) -> list[Metric]:
        """Name no families: which there are is known when they are asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the families of all, each sample with its `process`."""
        families: dict[str, Metric] = {}
        for child, (code, text) in self._asked("/metrics"):
            if code != 200:  # noqa: PLR2004 - OK
                continue
            for found in text_string_to_metric_families(text):
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                for one in found.samples:
                    labels = {**one.labels, "process": str(child.number)}
                    family.add_sample(one.name, labels, one.value, one.timestamp, one.exemplar)
        yield from families.values()

    def _all(self, path: str) -> tuple[bool, str]:
        for child, (code, text) in self._asked(path):
            if code != 200:  # noqa: PLR2004 - OK
                return False, f"process {child.number}: {' '.join(text.split())[:200]}"
        return bool(self.children), ""

    def _asked(self, path: str) -> list[tuple[Child, tuple[int, str]]]:
        if not self.children:
            return []
        with ThreadPoolExecutor(len(self.children)) as pool:
            answers = list(pool.map(lambda child: child.get(path), self.children))
        return list(zip(self.children, answers, strict=True))


class Supervisor:
    """Starts daemons, hands signals on to them, and ends when one of them ends."""

    def __init__(
        self, files: Sequence[Path], settings: Settings, config: Path | None, count: int
    ) -> None:
        self._files = files
        self._settings = settings
        self._config = config
        self._count = count
        self._log = structlog.get_logger("processes")
        self._signalled = Event()
        self.fleet = Fleet(instance=settings.instance)
        self._advertised: str | None = None

    def run(self) -> int:
        """Run until a signal, or until a daemon ends; give the exit code."""
        registry = CollectorRegistry()
        registry.register(self.fleet)
        with Endpoints(self._settings.http, self.fleet, registry, self.fleet.status) as endpoints:
            self._advertised = endpoints.advertised
            before = {one: signal.signal(one, self._hand_on) for one in _SIGNALS}
            try:
                for number in range(self._count):
                    child = self._started(number)
                    self.fleet.children.append(child)
                    if self._signalled.is_set() and not child.told:  # it came meanwhile
                        self._signal(signal.SIGTERM, [child])
                with _told_if_we_die([child.process.pid for child in self.fleet.children]):
                    return self._watched()
            finally:
                self._end()
                for one, handler in before.items():
                    signal.signal(one, handler)

    def _started(self, number: int) -> Child:
        port = _free_port()
        command = [sys.executable, "-m", "streamer", "run", *map(str, self._files)]
        if self._config is not None:
            command += ["--config", str(self._config)]
        cores = _share_of_cores(number, self._count)
        child = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env={**os.environ, **self._environment(number, port)},
            start_new_session=True,  # a terminal's Ctrl-C reaches the parent, which hands it on
        )
        if cores:
            os.sched_setaffinity(child.pid, cores)
        self._log.info("started", process=number, pid=child.pid, cores=sorted(cores))
        return Child(number, child, port)

    def _environment(self, number: int, port: int) -> Mapping[str, str]:
        """Give each a name and a port of its own, and its share of the memory."""
        member = self._settings.kafka.group_instance_id
        static = {"STREAMER_KAFKA__GROUP_INSTANCE_ID": f"{member}-{number}"} if member else {}
        told = {"STREAMER_HTTP__ADVERTISED_URL": self._advertised} if self._advertised else {}
        return {
            **static,
            **told,  # the live page looks at the parent, which tells of all
            "STREAMER_INSTANCE": f"{self._settings.instance}-{number}",
            "STREAMER_HTTP__HOST": _HOST,
            "STREAMER_HTTP__PORT": str(port),
            "STREAMER_HTTP__ENABLED": "true",
            "STREAMER_LINE__MEMORY": str(self._settings.line.memory // self._count),
        }

    def _watched(self) -> int:
        """Wait for the first daemon to end; without a signal that is an error."""
        while True:
            for child in self.fleet.children:
                code = child.process.poll()
                if code is None:
                    continue
                if self._signalled.is_set():
                    return self._all_ended()
                self._log.error(
                    "a process has ended; the others stop", process=child.number, code=code
                )
                self._signal(signal.SIGTERM)
                self._all_ended()
                return code if code > 0 else 1
            time.sleep(_WATCH_EVERY_S)

    def _all_ended(self) -> int:
        """Wait until all have drained; give the worst exit code.

        A signal ends a process that Python has not yet started in: there is no daemon yet.
        """
        codes = [child.process.wait() for child in self.fleet.children]
        well = {0, -signal.SIGTERM}
        return next((code if code > 0 else 1 for code in codes if code not in well), 0)

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        self._signalled.set()
        self._signal(number)

    def _signal(self, number: int, children: Sequence[Child] | None = None) -> None:
        for child in self.fleet.children if children is None else children:
            if child.process.poll() is None:
                child.told = True
                child.process.send_signal(number)

    def _end(self) -> None:
        """Leave no daemon behind, however the parent ends."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.line.drain_timeout + _GRACE_S
        for child in self.fleet.children:
            try:
                child.process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ALIKE = ("delivery", "group", "topics", "sink", "deadletter", "steps")
"""What all of them say alike of a topology."""


def run_processes(
    files: Sequence[Path], settings: Settings, config: Path | None, count: int
) -> int:
    """Run daemons side by side; give the exit code.

    Args:
        files: topologies; every process runs all of them.
        settings: the parent's, whose endpoints stand for all.
        config: the file that the settings came from.
        count: processes.
    """
    return Supervisor(files, settings, config, count).run()


def _together(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give what daemons in one group say of each topology as if they were one."""
    found: dict[str, Any] = {}
    for name in sorted({name for one in told for name in one}):
        parts = [one[name] for one in told if name in one]
        found[name] = {
            **{key: parts[0].get(key) for key in _ALIKE},
            "joined": all(part.get("joined") for part in parts),
            "assignment": sorted(p for part in parts for p in part.get("assignment", [])),
        }
    return found


def _share_of_cores(number: int, count: int) -> set[int]:
    """Give a process cores of its own where there is one for each; elsewhere none are set."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        return set()
    return set(cores[number * len(cores) // count : (number + 1) * len(cores) // count])


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as opened:
        port: int = opened.getsockname()[1]
        return port


@contextmanager
def _told_if_we_die(processes: Iterable[int]) -> Iterator[None]:
    """Have processes told to end where this one is killed and can tell them nothing itself.

    A small process waits for a word from us: our end closes its way.
    """
    command = [sys.executable, "-I", "-S", "-c", _WITNESS, *map(str, processes)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, start_new_session=True
    ) as witness:
        try:
            yield
        finally:
            witness.communicate(b"all is well")
