"""Positions: they move without records, and nothing is skipped before the first commit."""

import pytest
from support import tiny
from support.topics import expected_sources, sources
from support.waiting import eventually

MODES = ["at-least-once", "exactly-once"]


def topology_of(source, sink, delivery, **more):
    return {
        "name": f"positions-{sink[-8:]}",
        "delivery": delivery,
        "source": {"topics": [source], "format": "text", **more},
        "model": "mood",
        "sink": {"topic": sink},
    }


@pytest.mark.parametrize("delivery", MODES)
def test_a_drained_topic_has_no_lag_though_transactions_were_aborted(delivery, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(1), topics.make(1)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(source, sink, delivery)
    good = [b"good"] * 5
    plan = [("abort", good), ("commit", good), ("abort", good), ("commit", good), ("abort", good)]
    with daemons.running(topology) as daemon:
        for number in range(2):
            topics.send_transactions(source, plan)
            eventually(
                lambda: topics.committed(topology["name"], source) == topics.ends(source),
                "committed positions reach the end",
            )
            daemon.alive()
            assert len(topics.read(sink)) == 10 * (number + 1)
        topics.send_transactions(source, [("abort", good)])
        eventually(
            lambda: topics.committed(topology["name"], source) == topics.ends(source),
            "committed positions reach the end with nothing but aborted records",
        )
        eventually(
            lambda: daemon.status(topology["name"])["lag_records"] == {f"{source}/0": 0},
            "the lag is told as 0",
        )
    assert set(sources(topics.read(sink)).values()) == {1}


@pytest.mark.parametrize("delivery", MODES)
def test_a_kill_before_the_first_record_skips_nothing_with_latest(delivery, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(2), topics.make(2)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(source, sink, delivery, auto_offset_reset="latest")
    topics.send(source, [b"bad"] * 10)
    first = daemons.start(topology).ready()
    eventually(
        lambda: topics.committed(topology["name"], source) == {0: 5, 1: 5},
        "where it begins is committed before anything is read",
    )
    first.kill()
    topics.send(source, [b"good"] * 20)
    with daemons.running(topology) as daemon:
        answers = topics.read(sink, 20, alive=daemon.alive)
    assert {at for _, _, at in sources(answers)} == set(range(5, 15))
    assert set(sources(answers).values()) == {1}


def test_partitions_added_later_are_read_from_their_beginning_with_latest(topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(1), topics.make(1)
    topics.own(f"{sink}.deadletters")
    topology = topology_of(
        source,
        sink,
        "exactly-once",
        auto_offset_reset="latest",
        kafka={"metadata_max_age_ms": 1000},
    )
    topics.send(source, [b"bad"])
    with daemons.running(topology) as daemon:
        eventually(
            lambda: topics.committed(topology["name"], source) == {0: 1}, "the group has begun"
        )
        topics.grow(source, 3)
        topics.send(source, [b"good"] * 30, partitions=3)
        answers = topics.read(sink, 30, alive=daemon.alive)
    told = expected_sources(source, topics.ends(source)) - {(source, 0, 0)}
    assert sources(answers) == dict.fromkeys(told, 1)
