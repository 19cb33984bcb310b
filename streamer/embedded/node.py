"""One node of Kafka: formatted once, started, found ready, stopped."""

import base64
import fcntl
import signal
import time
import uuid
from pathlib import Path
from typing import IO

from streamer.embedded import probe
from streamer.embedded.process import JavaProcess, java_command
from streamer.embedded.properties import HOST, NodeSettings, rendered, server_properties
from streamer.errors import BrokerError, ConfigError

_READY_S = 90.0
_FORMAT_S = 60.0
_ASK_EVERY_S = 0.05


def new_cluster_id() -> str:
    """Return a random id as Kafka writes them: 16 bytes in base64 for URLs, without padding.

    None begins with a dash, as Kafka's own do not: its tools would take it for an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


class DataFolder:
    """A node's folder: Kafka's logs, its settings, what it printed; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            ConfigError: it cannot be used, or another node uses it.
        """
        self.path = path
        self.logs = path / "logs"
        self.properties = path / "server.properties"
        self.output = path / "broker.log"
        if "," in str(path):
            raise ConfigError(f"the data folder {path} has a comma: Kafka would take it for two")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (path / ".lock").open("ab")
        except OSError as error:
            raise ConfigError(f"the data folder {path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ConfigError(f"the data folder {path} is in use by another broker") from error

    @property
    def formatted(self) -> bool:
        """Whether a node has been here before."""
        return (self.logs / "meta.properties").exists()

    def close(self) -> None:
        """Let others use it."""
        self._lock.close()


class Node:
    """A broker and controller in one process."""

    def __init__(self, settings: NodeSettings, folder: DataFolder, *, heap_mb: int) -> None:
        self.settings = settings
        self._folder = folder
        self._heap_mb = heap_mb
        self._process: JavaProcess | None = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return 0 if self._process is None else self._process.pid

    def start(self, cluster_id: str, *, remove: Path | None = None) -> None:
        """Start the process anew, formatting the folder if it is new; does not wait.

        Args:
            cluster_id: what a new folder is formatted with.
            remove: folder to remove should this process die before it stops the node.
        """
        self.stop()
        text = rendered(server_properties(self.settings))
        self._folder.properties.write_text(text, encoding="utf-8")
        if not self._folder.formatted:
            self._format(cluster_id)
        self._process = JavaProcess(
            java_command("kafka.Kafka", [str(self._folder.properties)], heap_mb=self._heap_mb),
            self._folder.output,
            remove=remove,
        )

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Wait until clients are served.

        Raises:
            BrokerError: the process ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not probe.answers(HOST, self.settings.port):
            if self._process is None or not self._process.running:
                raise self._failure("Kafka ended while it started")
            if time.monotonic() > deadline:
                raise self._failure(f"Kafka was not ready within {timeout_s:g} s")
            time.sleep(_ASK_EVERY_S)

    def require_running(self) -> None:
        """Check that the process has not ended by itself.

        Raises:
            BrokerError: it has; the message ends with what it said.
        """
        if not self.running:
            raise self._failure("Kafka ended by itself")

    def stop(self) -> None:
        """Let it shut down in good order."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it with no chance to tidy up, as a crash would."""
        if self._process is not None:
            self._process.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it keeps its connections and answers nothing."""
        if self._process is not None:
            self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)

    def _format(self, cluster_id: str) -> None:
        arguments = ["format", "-t", cluster_id, "-c", str(self._folder.properties)]
        command = java_command("kafka.tools.StorageTool", arguments, heap_mb=self._heap_mb)
        tool = JavaProcess(command, self._folder.output)
        if tool.wait(_FORMAT_S) != 0:
            raise BrokerError(
                f"Kafka could not format {self._folder.logs}\n{tool.tail()}", retriable=False
            )

    def _failure(self, what: str) -> BrokerError:
        self.kill()
        tail = "" if self._process is None else self._process.tail()
        return BrokerError(f"{what}; the last it said:\n{tail}", retriable=False)
