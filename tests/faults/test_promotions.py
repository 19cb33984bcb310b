"""kill -9 in the middle of a promotion: afterwards every daemon serves the same version."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.waiting import eventually

from faults import versions
from faults.flow import Site
from faults.swaps import fleet
from streamer.deployments import Ledger
from streamer.embedded import EmbeddedKafka
from streamer.errors import BrokerError

_DYING_WRITER = """
import os, signal, sys
from streamer.broker import Producer
from streamer.config import load_settings
from streamer.deployments import Ledger, promoting
kill, version = sys.argv[1:]
if kill == "before the commit":
    Producer.commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
elif kill == "after the commit":
    commit = Producer.commit
    def committed(*given):
        commit(*given)
        os.kill(os.getpid(), signal.SIGKILL)
    Producer.commit = committed
Ledger(load_settings()).change("moods", "promote", promoting(version, by="the one who dies"))
"""


def die_promoting(there, when, version):
    """Let a process promote that is killed at a certain moment of it."""
    given = {f"STREAMER_{name}": value for name, value in there.environment.items()}
    command = [sys.executable, "-c", _DYING_WRITER, when, version]
    ended = subprocess.run(command, check=False, env={**os.environ, **given})  # noqa: S603 - ours
    assert ended.returncode == -signal.SIGKILL


def test_who_is_killed_in_the_middle_of_a_promotion_leaves_one_truth(site):
    with fleet(site, "exactly-once") as there:
        for number in ("1", "2", "3", "4"):
            versions.add(there.registry, number)
        there.promote("1")
        there.flow.load(rate=150)
        dying, staying = there.daemon().ready(), there.daemon().ready()
        there.flow.at_work()
        there.promote("2")
        eventually(lambda: there.state(dying)["wanted"] == "2", "it has heard", every=0.01)
        dying.kill()
        there.serves(staying, "2")
        die_promoting(there, "before the commit", "3")
        heir = there.daemon().ready()
        assert there.serving(heir) == "2"  # the transaction that was left open counts for nothing
        assert there.serving(staying) == "2"
        die_promoting(there, "after the commit", "4")
        there.serves(heir, "4")
        there.serves(staying, "4")
        assert Ledger(there.settings).read()["moods"].champion == "4"
        found = there.flow.finished()
        assert found.exactly_once, str(found)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_broker_killed_in_the_middle_of_promotions_leaves_one_truth(tmp_path):
    chance = random.Random(0)
    with (
        EmbeddedKafka(port=0, data_dir=tmp_path / "broker") as kafka,
        Site(kafka.bootstrap_servers, tmp_path) as site,
        fleet(site, "exactly-once") as there,
    ):
        for number in range(1, 8):
            versions.add(there.registry, str(number))
        there.promote("1")
        there.flow.load(rate=100)
        daemons = [there.daemon().ready() for _ in range(2)]
        there.flow.at_work()
        for number in range(2, 8):
            _promote_while_it_dies(there, kafka, str(number), chance.uniform(0, 1.2))
            assert Ledger(there.settings).read()["moods"].champion == str(number)
            for daemon in daemons:
                there.serves(daemon, str(number), 120)
        found = there.flow.finished()
        assert found.exactly_once, str(found)


def _promote_while_it_dies(there, kafka, version, after_s):
    refused = []

    def promote():
        try:
            there.promote(version)
        except BrokerError as error:
            refused.append(error)

    promoting = threading.Thread(target=promote)
    promoting.start()
    time.sleep(after_s)
    kafka.kill()
    kafka.start()
    promoting.join()
    assert not refused, refused
