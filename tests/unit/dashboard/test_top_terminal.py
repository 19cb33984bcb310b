"""`streamer top` on a terminal, as a process of its own."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, Counter
from support.daemon import environment_of
from support.waiting import eventually

from streamer.config.settings import HttpSettings
from streamer.endpoints import Endpoints

ROWS, COLUMNS = 40, 100


class Well:
    def started(self):
        return True, ""

    ready = live = started


@pytest.fixture
def daemon() -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("streamer_records_consumed", "", ["topology"], registry=registry).labels("street").inc()
    status = {
        "instance": "worker-1",
        "topologies": {"street": {"topics": ["in"], "sink": "out", "deadletter": "dead"}},
    }
    http = HttpSettings(host="127.0.0.1", port=0)
    with Endpoints(http, Well(), registry, lambda: status) as served:
        assert served.url is not None
        yield served.url


def started(*arguments):
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    given = {"STREAMER_DASHBOARD__INTERVAL": "0.3s", "TERM": "xterm-256color"}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "streamer", "top", "--no-discover", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment_of(given),
    )
    os.close(its)
    os.set_blocking(ours, False)
    return process, ours


def read(terminal, screen):
    with suppress(OSError):  # nothing more at the moment, or for ever
        screen.extend(os.read(terminal, 65536))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode("utf-8", "replace"))


def test_it_fills_the_screen_until_it_is_interrupted(daemon):
    process, terminal = started(daemon)
    screen = bytearray()
    try:
        eventually(lambda: "1 of 1 daemons answer" in read(terminal, screen), "it shows the daemon")
        eventually(lambda: "street" in read(terminal, screen), "and its topology")
        assert b"\x1b[?1049h" in screen, "on the terminal's other screen"
        process.send_signal(signal.SIGINT)
        eventually(lambda: read(terminal, screen) and process.poll() is not None, "it ends")
        read(terminal, screen)
        assert process.returncode == 0
        assert b"\x1b[?1049l" in screen, "what was there before is back"
        assert "Traceback" not in read(terminal, screen)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


@pytest.mark.parametrize(("there", "code"), [(True, 0), (False, 1)])
def test_once_tells_by_its_exit_code_whether_anybody_answers(daemon, there, code):
    url = daemon if there else "http://127.0.0.1:9"
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "streamer", "top", "--no-discover", "--once", url],
        env=environment_of({"STREAMER_DASHBOARD__INTERVAL": "0.3s", "COLUMNS": "100"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert ("street" in done.stdout) == there
    assert ("does not answer" in done.stdout) != there
