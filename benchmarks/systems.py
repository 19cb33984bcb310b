"""The systems that are measured: each a process that reads one topic and writes another."""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil
import yaml

from streamer.embedded.ports import free_ports

HERE = Path(__file__).parent
BUILD = Path("build/benchmarks")
_READY_S = 90.0
_END_S = 10.0
_TAIL = 4000
_QUIX_COMMIT_S = "0.03"
"""Of 1 to 100 ms the one with the lowest p99 at the rate of `latency`."""

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Form:
    """How a system wants its records.

    Attributes:
        value: makes its record of a value.
        headers: of each record.
        backlog: whether it reads records that were there before it.
    """

    value: Callable[[bytes], bytes] = bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    backlog: bool = True


class Child:
    """The process of a system, and those that it started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._own = psutil.Process(process.pid)  # knows it from a later one with its number

    def ended(self) -> bool:
        """Say whether it ended by itself."""
        return self._process.poll() is not None

    def cpu_s(self) -> float:
        """Give the processor time of all its processes so far."""
        return sum(cpu_s(one) for one in self._all())

    def memory(self) -> int:
        """Give the resident bytes of all its processes."""
        found = 0
        for one in self._all():
            with suppress(psutil.Error):
                found += one.memory_info().rss
        return found

    def end(self) -> None:
        """Ask it to end, and wait a while until it has."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def kill(self) -> None:
        """End it and its children at once, if they have not ended."""
        for one in reversed(self._all()):
            with suppress(psutil.Error):
                one.kill()
        self._process.wait()

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._own, *self._own.children(recursive=True)]
        except psutil.Error:
            return []


def cpu_s(process: psutil.Process) -> float:
    """Give the processor time of a process so far, without its children."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class System(Protocol):
    """Answers the records of one topic into another while it runs.

    Attributes:
        role: `own` (streamer), `peer`, or `floor` (the client alone).
    """

    name: str
    role: Literal["own", "peer", "floor"]
    form: Form

    def running(self, servers: str, source: str, sink: str) -> AbstractContextManager[Child]:
        """Run it, ready to read when the block begins."""
        ...


class Streamer:
    """`streamer run` on one topology."""

    role: Literal["own", "peer", "floor"] = "own"
    form = Form()

    def __init__(
        self, name: str, topology: Mapping[str, Any], *, client: str = "kafka-python", **more: Any
    ) -> None:
        self.name = name
        self._client = client
        self._topology = {**topology, **more}

    @contextmanager
    def running(self, servers: str, source: str, sink: str) -> Iterator[Child]:
        """Run it, and wait until it is a member of its group."""
        with tempfile.TemporaryDirectory() as folder:
            [port] = free_ports(1)
            topology = {**self._topology, "name": source, "sink": {"topic": sink}}
            topology["source"] = {**topology["source"], "topics": [source]}
            file = Path(folder) / "topology.yaml"
            file.write_text(yaml.safe_dump(topology))
            environment = {
                "STREAMER_KAFKA__BOOTSTRAP_SERVERS": servers,
                "STREAMER_KAFKA__CLIENT": self._client,
                "STREAMER_HTTP__PORT": str(port),
                "STREAMER_LOG__LEVEL": "WARNING",
            }
            command = [sys.executable, "-m", "streamer", "run", str(file)]
            with process(command, environment, name=self.name) as child:
                _await(lambda: _serves(port), child)
                yield child


class Script:
    """One of `peers/`, in an environment of its own where it has one."""

    def __init__(
        self,
        name: str,
        script: str,
        *arguments: str,
        role: Literal["own", "peer", "floor"] = "peer",
        form: Form | None = None,
    ) -> None:
        self.name = name
        self.role = role
        self.form = form or Form()
        own = python_of(Path(script).stem)
        self._command = [str(own or sys.executable), str(HERE / "peers" / script)]
        self._arguments = arguments

    @contextmanager
    def running(self, servers: str, source: str, sink: str) -> Iterator[Child]:
        """Run it; it makes a file when it is about to read its first record."""
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready"
            command = [*self._command, servers, source, sink, str(ready), *self._arguments]
            with process(command, {}, name=self.name) as child:
                _await(ready.exists, child)
                yield child


def python_of(peer: str) -> Path | None:
    """Give the interpreter of a peer's environment; None if it has not been made."""
    found = BUILD / peer / "bin" / "python"
    return found if found.exists() else None


def versions() -> dict[str, str]:
    """Give what is installed for each peer, by the first requirement of its environment."""
    found = {}
    for file in sorted((HERE / "peers").glob("*.txt")):
        name = re.split(r"[^\w-]", file.read_text(encoding="utf-8"), maxsplit=1)[0].replace(
            "-", "_"
        )
        for folder in (BUILD / file.stem).glob(f"lib/python*/site-packages/{name}-*.dist-info"):
            found[name] = folder.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return found


def peers(work: str) -> list[System]:
    """Give the peers that can do some work here: loops, and those with an environment."""
    told = _told(work)
    texts = told.startswith("texts:")
    modes = ("single", "polled", "sorted") if texts else ("single", "polled")
    found: list[System] = [Script(f"loop, {mode}", "naive.py", told, mode) for mode in modes]
    if python_of("quix"):
        found.append(Script("Quix Streams", "quix.py", told))
    if python_of("bytewax_flow") and texts:
        found.append(Script("Bytewax", "bytewax_flow.py", told))
    if python_of("mlserver_kafka"):
        value = _request if texts else _picture_request
        form = Form(value, (("mlserver-model", b"model"),), backlog=False)
        found.append(Script("MLServer", "mlserver_kafka.py", told, form=form))
    if python_of("torch_loop") and texts:
        found.append(Script("Torch loop", "torch_loop.py"))
    return found


def exactly_once_peers(work: str) -> list[System]:
    """Give the peers that can do some work here in transactions, which end as often as is best."""
    if not python_of("quix"):
        return []
    return [Script("Quix Streams, exactly-once", "quix.py", _told(work), _QUIX_COMMIT_S)]


def _told(work: str) -> str:
    """Name a work's folder so that it is found from anywhere."""
    kind, _, folder = work.partition(":")
    return f"{kind}:{Path(folder).absolute()}"


def _request(value: bytes) -> bytes:
    """Write an inference request as MLServer takes it."""
    given = {"name": "values", "shape": [1], "datatype": "BYTES", "data": [value.decode()]}
    return json.dumps({"inputs": [given]}).encode()


def _picture_request(value: bytes) -> bytes:
    return _request(base64.b64encode(value))


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str], *, name: str
) -> Iterator[Child]:
    """Run a system until the block ends; what it wrote is shown if it did not do its work.

    One that failed, or whose run is interrupted, is killed: only one that did its work has time to
    end in good order.
    """
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(  # noqa: S603 - our own commands
            list(command), stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
        running = Child(child)
        try:
            yield running
            running.end()
        except TimeoutError:
            code = child.poll()
            running.kill()
            out.seek(0)
            told = out.read().decode(errors="replace")[-_TAIL:]
            sys.stderr.write(
                f"{name} {'hung' if code is None else f'ended with {code}'}:\n{told}\n"
            )
            raise
        finally:
            running.kill()


def _await(ready: Callable[[], bool], child: Child) -> None:
    """Wait until a system is ready.

    Raises:
        TimeoutError: it has ended, or takes too long.
    """
    deadline = time.monotonic() + _READY_S
    while not ready():
        if child.ended():
            message = "it ended before it was ready"
            raise TimeoutError(message)
        if time.monotonic() > deadline:
            message = f"it was not ready after {_READY_S:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.05)


def _serves(port: int) -> bool:
    """Say whether a daemon is a member of its group."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False
