"""Systems as processes: none outlives its turn."""

import sys

import psutil
import pytest

from benchmarks.kafka import _Patience
from benchmarks.systems import process

_SLEEPS = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print('warming up', flush=True); time.sleep(600)"
)


def gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_a_system_and_its_children_are_killed_at_once_if_its_turn_fails(error, capsys):
    started = []
    with (  # noqa: PT012
        pytest.raises(error),
        process([sys.executable, "-c", _SLEEPS], {}, name="theirs") as child,
    ):
        while len(started) < 2:
            started = child._all()
        raise error
    while not all(gone(one) for one in started):
        pass
    assert ("theirs hung" in capsys.readouterr().err) is (error is TimeoutError)


def test_what_a_system_wrote_is_shown_if_it_ended_by_itself(capsys):
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(TimeoutError), process(command, {}, name="theirs") as child:  # noqa: PT012
        while not child.ended():
            pass
        raise TimeoutError
    shown = capsys.readouterr().err
    assert "theirs ended with 1" in shown
    assert "no such model" in shown


def test_answers_of_a_system_that_has_ended_are_not_waited_for():
    patience = _Patience(5, lambda: True)
    with pytest.raises(TimeoutError, match="3 of 5 answers came"):
        patience.look(3)
    patience.look(5)  # all are there: whether it still runs does not matter


def test_a_process_table_without_a_process_has_no_children():
    with process([sys.executable, "-c", ""], {}, name="short") as child:
        while not child.ended():
            pass
    assert child._all() == []
    assert not psutil.pid_exists(child._process.pid)
