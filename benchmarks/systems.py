"""The systems that are measured: each a process that reads one topic and writes another."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml

from streamer.embedded.ports import free_ports

HERE = Path(__file__).parent
_READY_S = 180.0
_END_S = 60.0


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a system until the block ends; what it wrote is shown if it ended by itself."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(  # noqa: S603 - our own commands
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            yield child
        finally:
            early = child.poll()
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if early is not None:
                out.seek(0)
                told = out.read().decode(errors="replace")[-4000:]
                sys.stderr.write(f"{name} ended with {early}:\n{told}\n")


class System(Protocol):
    """Answers the records of one topic into another while it runs."""

    name: str
    pid: int

    def running(self, servers: str, source: str, sink: str) -> AbstractContextManager[None]:
        """Run it, ready to read when the block begins."""
        ...


class Streamer:
    """`streamer run` on one topology."""

    def __init__(
        self, name: str, topology: Mapping[str, Any], python: str = sys.executable
    ) -> None:
        self.name = name
        self.pid = 0
        self._topology = dict(topology)
        self._python = python

    @contextmanager
    def running(self, servers: str, source: str, sink: str) -> Iterator[None]:
        """Run it, and wait until it is a member of its group."""
        with tempfile.TemporaryDirectory() as folder:
            [port] = free_ports(1)
            topology = {**self._topology, "name": source, "sink": {"topic": sink}}
            topology["source"] = {**topology["source"], "topics": [source]}
            file = Path(folder) / "topology.yaml"
            file.write_text(yaml.safe_dump(topology))
            environment = {
                "STREAMER_KAFKA__BOOTSTRAP_SERVERS": servers,
                "STREAMER_HTTP__PORT": str(port),
                "STREAMER_LOG__LEVEL": "WARNING",
            }
            command = [self._python, "-m", "streamer", "run", str(file)]
            with process(command, environment, name=self.name) as child:
                self.pid = child.pid
                _await_ready(port, child)
                yield


class Script:
    """One of `peers/`, in an environment of its own."""

    def __init__(self, name: str, script: str, python: str, *arguments: str) -> None:
        self.name = name
        self.pid = 0
        self._command = [python, str(HERE / "peers" / script)]
        self._arguments = arguments

    @contextmanager
    def running(self, servers: str, source: str, sink: str) -> Iterator[None]:
        """Run it; it makes a file when it is about to read its first record."""
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready"
            command = [*self._command, servers, source, sink, str(ready), *self._arguments]
            with process(command, name=self.name) as child:
                self.pid = child.pid
                deadline = time.monotonic() + _READY_S
                while not ready.exists() and time.monotonic() < deadline and child.poll() is None:
                    time.sleep(0.05)
                yield


def _await_ready(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:  # noqa: PLR2004 - OK
                    return
        except OSError:
            time.sleep(0.1)
