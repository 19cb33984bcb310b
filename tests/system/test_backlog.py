"""A backlog that grows no smaller: a sink that takes ten times less than the source gives."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from support import tiny
from support.topics import Sent, in_order, sources
from support.waiting import eventually

from streamer.embedded.process import java_command

_TENTH = 60_000
"""Bytes a second: about 200 answers, where thousands are possible."""


@contextmanager
def narrow(broker):
    """Let the broker take little of what is produced, by a quota."""
    _quota(broker, f"--add-config=producer_byte_rate={_TENTH}")
    try:
        yield
    finally:
        _quota(broker, "--delete-config=producer_byte_rate")


def _quota(broker, change):
    entity = ["--alter", "--entity-type=clients", "--entity-name=streamer", change]
    command = java_command(
        "kafka.admin.ConfigCommand", [f"--bootstrap-server={broker}", *entity], heap_mb=128
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
@pytest.mark.parametrize(
    "waiting",
    [
        (30_000, 15),
        pytest.param((1_000_000, 180), marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_memory_is_flat_however_much_waits(delivery, waiting, topics, daemons, capsys):
    records, seconds = waiting
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(2), topics.make(2)
    topics.own(f"{sink}.deadletters")
    topics.send(source, (Sent(b"good", None, ()) for _ in range(records)))
    topology = {
        "name": f"slow-{sink[-8:]}",
        "delivery": delivery,
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
    }
    with narrow(topics.brokers):
        daemon = daemons.start(topology).ready()
        eventually(lambda: daemon.status(topology["name"])["records_answered"], "answers come", 120)
        seen, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            daemon.alive()
            seen.append(daemon.rss_mb())
            time.sleep(0.1)
        answered = daemon.status(topology["name"])["records_answered"]
        daemon.kill()
    found = topics.read(sink)
    early, late = max(seen[: len(seen) // 3]), max(seen[len(seen) // 3 :])
    with capsys.disabled():
        rate = answered / seconds
        sys.stdout.write(
            f"\n{delivery}, {records} records wait: {rate:.0f} answers a second, "
            f"{early:.0f} MiB in the first third, {late:.0f} after it\n"
        )
    assert 0 < answered < records / 2  # most of it still waits
    assert late < early * 1.1
    assert in_order(found)
    assert set(sources(found).values()) == {1}
