import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamer.embedded.process import JavaProcess
from streamer.errors import BrokerError

_SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")


def waited(until, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_the_tail_is_of_this_run_only(tmp_path):
    log = tmp_path / "log"
    log.write_text("an earlier run\n")
    lines = "print(*range(5), sep='\\n')"
    process = JavaProcess([sys.executable, "-c", lines], log)
    assert process.wait(30) == 0
    assert process.tail(2) == "3\n4"
    assert process.tail() == "0\n1\n2\n3\n4"


def test_a_paused_child_can_be_stopped(tmp_path):
    process = JavaProcess(_SLEEPER, tmp_path / "log")
    assert waited(process.tail)
    process.signal(signal.SIGSTOP)
    process.stop()
    assert not process.running


def test_a_child_that_does_not_end_in_time_is_killed_and_quoted(tmp_path):
    process = JavaProcess(_SLEEPER, tmp_path / "log")
    assert waited(process.tail)
    with pytest.raises(BrokerError, match=r"did not end within 0\.1 s\nup"):
        process.wait(0.1)
    assert not process.running


def test_the_child_and_its_folder_go_when_the_parent_is_killed(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    code = f"""
import time
from pathlib import Path
from streamer.embedded.process import JavaProcess
child = JavaProcess({_SLEEPER!r}, Path({str(folder / "log")!r}), remove=Path({str(folder)!r}))
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    assert waited(lambda: not Path(folder).exists())
    assert not alive(child)
