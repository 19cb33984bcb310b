"""Several daemons under one parent; daemons that answer HTTP are stood in for by a server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from streamer.config import Settings
from streamer.config.settings import HttpSettings
from streamer.endpoints import Endpoints
from streamer.pipeline.processes import Child, Fleet, Supervisor, _share_of_cores, _together


class Health:
    def __init__(self, *, ready):
        self.is_ready = ready

    def started(self):
        return True, ""

    def ready(self):
        return self.is_ready, "" if self.is_ready else "no group yet"

    def live(self):
        return True, ""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    served = []
    fleet = Fleet()
    for number in range(2):
        registry = CollectorRegistry()
        Counter("records", "Records", ["topology"], registry=registry).labels("a").inc(number + 1)
        Histogram("took_seconds", "Time", registry=registry).observe(0.1)
        health = Health(ready=number == 0)
        one = Endpoints(HttpSettings(host="127.0.0.1", port=0), health, registry, lambda: {"up": 1})
        one.start()
        served.append(one)
        fleet.children.append(Child(number, None, one.port))
    yield fleet
    for one in served:
        one.stop()


def test_metrics_of_all_stand_side_by_side(fleet):
    registry = CollectorRegistry()
    registry.register(fleet)
    told = generate_latest(registry).decode()
    assert 'records_total{process="0",topology="a"} 1.0' in told
    assert 'records_total{process="1",topology="a"} 2.0' in told
    assert told.count("# TYPE records_total counter") == 1
    assert 'took_seconds_count{process="1"} 1.0' in told


def test_all_must_be_well_and_who_is_not_is_named(fleet):
    assert fleet.live() == (True, "")
    well, why = fleet.ready()
    assert not well
    assert why.startswith("process 1:")
    assert "no group yet" in why


def test_the_status_of_each_is_told(fleet):
    assert fleet.status()["processes"] == {"0": {"up": 1}, "1": {"up": 1}}


def test_what_they_do_together_is_told_as_one_daemon_would():
    each = [
        {"delivery": "exactly-once", "topics": ["in"], "joined": number == 0, "assignment": [part]}
        for number, part in enumerate(["in/1", "in/0"])
    ]
    [told] = _together([{"street": each[0]}, {"street": each[1]}, {}]).values()
    assert told["assignment"] == ["in/0", "in/1"]
    assert not told["joined"]
    assert (told["delivery"], told["topics"]) == ("exactly-once", ["in"])


def test_children_announce_their_parent(monkeypatch):
    """The live page asks it, and it tells of all: nobody else reaches their own ports."""
    supervisor = Supervisor([], Settings(), None, 2)
    supervisor._advertised = "http://host:8080"
    environment = supervisor._environment(1, 1234)
    assert environment["STREAMER_HTTP__ADVERTISED_URL"] == "http://host:8080"


def test_a_child_is_not_asked_through_a_proxy(fleet, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fleet.live() == (True, "")


def test_one_that_does_not_answer_is_not_well(fleet):
    fleet.children.append(Child(2, None, 1))
    assert "process 2" in fleet.live()[1]
    assert "error" in fleet.status()["processes"]["2"]


def test_cores_are_shared_out_whole(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3, 4})
    shares = [_share_of_cores(number, 2) for number in range(2)]
    assert set.union(*shares) == {0, 1, 2, 3, 4}
    assert not set.intersection(*shares)
    assert _share_of_cores(0, 9) == set()


class Scripted(Supervisor):
    """Runs a line of Python in the place of each daemon."""

    lines = ()

    def _started(self, number):
        command = [sys.executable, "-c", self.lines[number]]
        return Child(number, subprocess.Popen(command), 1)  # noqa: S603


def run(*lines):
    supervisor = Scripted([], Settings(http={"enabled": False}), None, len(lines))
    supervisor.lines = lines
    return supervisor.run(), supervisor


def test_when_one_ends_by_itself_the_others_are_stopped_and_its_code_is_given():
    code, supervisor = run("import time; time.sleep(60)", "raise SystemExit(2)")
    assert code == 2
    assert all(child.process.poll() is not None for child in supervisor.fleet.children)


def test_a_signal_is_handed_on_and_all_may_finish(tmp_path):
    listens = (
        "import os, pathlib, signal, sys, time;"
        "signal.signal(15, lambda *_: sys.exit(0));"
        f"pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch();"
    )
    asks = (
        f"[time.sleep(0.01) for _ in iter(lambda: len(os.listdir({str(tmp_path)!r})), 2)];"
        "os.kill(os.getppid(), 15); time.sleep(60)"
    )
    code, _ = run(listens + "time.sleep(60)", listens + asks)
    assert code == 0


class Interrupted(Scripted):
    """Told to stop while it starts its daemons."""

    def _started(self, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super()._started(number)


def test_a_signal_reaches_those_that_were_not_yet_started_when_it_came():
    supervisor = Interrupted([], Settings(http={"enabled": False}), None, 2)
    supervisor.lines = ["import time; time.sleep(20)"] * 2
    supervisor.run()
    ended = [child.process.returncode for child in supervisor.fleet.children]
    assert ended == [-signal.SIGTERM] * 2


def test_daemons_end_with_a_parent_that_is_killed():
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
    parent = (
        "import os; from streamer.pipeline.processes import _told_if_we_die as told\n"
        f"with told([{sleeper.pid}]): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", parent], check=False).returncode == -9  # noqa: S603
    assert sleeper.wait(20) == -signal.SIGTERM


def test_each_has_a_name_a_port_and_a_share_of_its_own():
    settings = Settings(
        instance="pod-3", kafka={"group_instance_id": "pod-3"}, line={"memory": "1GiB"}
    )
    told = [Supervisor([], settings, None, 4)._environment(n, 9000 + n) for n in range(2)]
    assert [one["STREAMER_INSTANCE"] for one in told] == ["pod-3-0", "pod-3-1"]
    assert [one["STREAMER_KAFKA__GROUP_INSTANCE_ID"] for one in told] == ["pod-3-0", "pod-3-1"]
    assert [one["STREAMER_HTTP__PORT"] for one in told] == ["9000", "9001"]
    assert {one["STREAMER_LINE__MEMORY"] for one in told} == {str(2**28)}
