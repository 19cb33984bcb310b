"""The end of a process: gentle, at once, or by force; then what the outputs hold."""

import signal

import pytest
from support import tiny
from support.topics import Sent, expected_sources, in_order, sources
from support.waiting import eventually

MODES = ["at-least-once", "exactly-once"]
KILLS = 3


def topology_of(source, sink, delivery, wave=32):
    return {
        "name": f"stop-{sink[-8:]}",
        "delivery": delivery,
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "wave": {"max_records": wave},
    }


def texts(count):
    return [Sent(b"good " * (number % 9 + 1), f"k{number}".encode()) for number in range(count)]


@pytest.mark.parametrize("delivery", MODES)
def test_sigterm_drains_and_commits_all_that_is_answered(delivery, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(3), topics.make(3)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(source, sink, delivery)
    topics.send(source, texts(6_000))
    daemon = daemons.start(topology)
    eventually(lambda: len(topics.read(sink)) > 0 or daemon.alive(), "it is at work")
    assert daemon.stop() == 0
    answers = topics.read(sink)
    committed = topics.committed(topology["name"], source)
    assert set(sources(answers)) == expected_sources(source, committed)
    assert 0 < len(answers) < 6_000, "it was not stopped in the middle: nothing is shown"
    assert "Traceback" not in daemon.text
    with daemons.running(topology) as again:
        answers = topics.read(sink, 6_000, alive=again.alive)
    assert sources(answers) == dict.fromkeys(expected_sources(source, topics.ends(source)), 1)
    assert in_order(answers)


def test_a_second_signal_stops_at_once(topics, daemons):
    tiny.slow_model(daemons.folder / "models")
    source, sink = topics.make(1), topics.make(1)
    topics.own(f"{sink}.deadletters")
    topology = {**topology_of(source, sink, "exactly-once"), "model": "slow"}
    topics.send(source, texts(32))  # half a minute's work in one wave
    daemon = daemons.start(topology)
    eventually(
        lambda: daemon.alive() or daemon.status(topology["name"]).get("records_in_flight"),
        "it is at work",
    )
    daemon.process.send_signal(signal.SIGTERM)
    eventually(
        lambda: daemon.alive() or daemon.said("stopping: what is in flight is finished first"),
        "it has heard the first signal",
    )
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.process.wait(30) == 128 + signal.SIGINT
    assert "Traceback" not in daemon.text
    assert topics.read(sink) == []


@pytest.mark.long  # tests/faults/test_kills.py kills under load each time
@pytest.mark.parametrize("delivery", MODES)
def test_kill_9_in_the_middle_loses_nothing_and_repeats_only_where_it_may(
    delivery, topics, daemons
):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(3), topics.make(3)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(source, sink, delivery)
    count = 2_000
    for killed in range(KILLS):
        topics.send(source, texts(count))
        daemon = daemons.start(topology)
        seen = len(topics.read(sink, isolation="read_uncommitted"))
        topics.read(sink, seen + 100, isolation="read_uncommitted", alive=daemon.alive)
        daemon.kill()
        done = sum(topics.committed(topology["name"], source).values())
        assert done < (killed + 1) * count, "it was not killed in the middle: nothing is shown"
    with daemons.running(topology) as daemon:
        eventually(
            lambda: topics.committed(topology["name"], source) == topics.ends(source),
            "everything is answered and committed",
        )
        daemon.alive()
    answers = topics.read(sink)
    expected = expected_sources(source, topics.ends(source))
    assert len(expected) == KILLS * count
    if delivery == "exactly-once":
        assert sources(answers) == dict.fromkeys(expected, 1)
        assert in_order(answers)
        assert len(topics.read(sink, isolation="read_uncommitted")) >= len(answers)
    else:
        assert set(sources(answers)) == expected


@pytest.mark.parametrize("delivery", MODES)
def test_daemons_that_join_and_leave_while_records_flow_lose_nothing(delivery, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(4), topics.make(4)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(source, sink, delivery, wave=256)
    name = topology["name"]

    def meanwhile(ask):
        topics.send(source, texts(50))
        first.alive()
        return ask()

    topics.send(source, texts(1_000))
    first = daemons.start(topology).ready()
    second = daemons.start(topology)
    for ask, what in (
        (lambda: topics.members(name) == 2, "the second joins"),
        (lambda: second.status(name).get("assignment"), "the second has partitions"),
        (lambda: second.status(name)["records_answered"], "the second answers"),
    ):
        eventually(lambda ask=ask: meanwhile(ask), f"{what} while records flow", every=0.3)
    topics.send(source, texts(1_000))
    assert second.stop() == 0
    topics.send(source, texts(1_000))
    total = sum(topics.ends(source).values())
    answers = topics.read(sink, total, alive=first.alive)
    eventually(
        lambda: topics.committed(topology["name"], source) == topics.ends(source),
        "everything is committed",
    )
    assert first.stop() == 0
    answers = topics.read(sink)
    assert set(sources(answers)) == expected_sources(source, topics.ends(source))
    if delivery == "exactly-once":
        assert set(sources(answers).values()) == {1}
        assert in_order(answers)
