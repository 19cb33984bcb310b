"""The daemon as its users run it: a child process, watched from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from support.waiting import eventually

SESSION_S = 3


class Daemon:
    """One `streamer run` and its log."""

    def __init__(self, files: Sequence[Path], environment: Mapping[str, str], folder: Path) -> None:
        self.started = time.monotonic()
        self._out = folder / f"{time.monotonic_ns()}.log"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "streamer", "run", *map(str, files)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment_of(environment),
                cwd=folder,
            )

    @property
    def text(self) -> str:
        """All that it has written."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log, line by line; a line that is no JSON fails."""
        lines = self.text.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Give the log lines with this message."""
        return [line for line in self.log if line["message"] == message]

    def alive(self) -> None:
        """Fail, showing the log's end, if the process has ended."""
        code = self.process.poll()
        assert code is None, f"the daemon has ended with {code}"

    @property
    def url(self) -> str:
        """Where it answers probes."""

        def asked() -> str | None:
            self.alive()
            found = self.said("answers probes and scrapes")
            return found[0]["url"] if found else None

        return eventually(asked, "the daemon tells its address")

    def get(self, path: str) -> tuple[int, str]:
        """Ask an endpoint."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self, topology: str) -> dict[str, Any]:
        """What /status tells of a topology; nothing before it runs."""
        told: dict[str, Any] = json.loads(self.get("/status")[1])["topologies"]
        return told.get(topology, {})

    def ready(self) -> "Daemon":
        """Wait until it is a member of its groups."""

        def asked() -> bool:
            self.alive()
            return self.get("/readyz")[0] == 200

        eventually(asked, "the daemon is ready")
        return self

    def rss_mb(self) -> float:
        """Resident memory, in MiB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    def stop(self, patience: float = 60) -> int:
        """Send SIGTERM, wait, give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(30)


class Daemons:
    """Starts daemons on one broker, and ends them with the test."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.folder = folder
        self._brokers = brokers
        self._running: list[Daemon] = []

    def file(self, topology: Mapping[str, Any]) -> Path:
        """Write a topology file."""
        path = self.folder / f"{topology['name']}.yaml"
        path.write_text(yaml.safe_dump(dict(topology), sort_keys=False))
        return path

    def start(self, *topologies: Mapping[str, Any] | Path, **environment: str) -> Daemon:
        """Start a daemon with topologies; further STREAMER_ variables by name without prefix."""
        files = [one if isinstance(one, Path) else self.file(one) for one in topologies]
        given = {
            "KAFKA__BOOTSTRAP_SERVERS": self._brokers,
            "KAFKA__SESSION_TIMEOUT": f"{SESSION_S}s",
            "KAFKA__HEARTBEAT_INTERVAL": "1s",
            "HTTP__HOST": "127.0.0.1",
            "HTTP__PORT": "0",
            "LOG__FORMAT": "json",
            "MODELS__DIR": str(self.folder / "models"),
            **environment,
        }
        named = {f"STREAMER_{name}": value for name, value in given.items()}
        daemon = Daemon(files, named, self.folder)
        self._running.append(daemon)
        return daemon

    @contextlib.contextmanager
    def running(self, *topologies: Mapping[str, Any], **environment: str) -> Iterator[Daemon]:
        """Start a daemon, wait until it is ready, end it gently."""
        daemon = self.start(*topologies, **environment).ready()
        yield daemon
        assert daemon.stop() == 0

    def close(self) -> None:
        """Kill what still runs, and print the logs: pytest shows them of a test that failed."""
        for daemon in self._running:
            daemon.kill()
            sys.stdout.write(f"--- a daemon's log ends with\n{daemon.text[-8000:]}\n")


def command(*arguments: str, environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run a streamer command to its end; give exit code and all it wrote."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "streamer", *arguments],
        env=environment_of(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """Give a child's environment: ours, without settings that are not given here.

    But the Kafka client: a whole run may be asked for over another one.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "STREAMER_" not in name or name == "STREAMER_KAFKA__CLIENT"
    }
    return {**inherited, **given, "PYTHONUNBUFFERED": "1"}
