"""Records that harm: each is found, the others are answered."""

import random

import pytest
from support.topics import Sent
from support.waiting import eventually

from faults.flow import Flow
from faults.models import moods

_STATIC = {"KAFKA__GROUP_INSTANCE_ID": "one"}


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_a_record_that_kills_its_process_is_found_and_the_others_are_answered(delivery, site):
    records = [Sent(b"good" if number % 2 else b"bad") for number in range(300)]
    records[123] = Sent(b"good deadly", key=b"culprit")
    with Flow(site, delivery, partitions=2) as flow:
        site.topics.send(flow.source, records)
        starts = 0
        while starts < 12:
            starts += 1
            daemon = flow.daemon(delay_ms=0, deadly=True, **_STATIC)
            eventually(
                lambda: daemon.process.poll() is not None or _answered(flow),  # noqa: B023
                "the daemon dies of it or gets past it",
            )
            if daemon.process.poll() is None:
                break
        found = flow.finished()
    assert found.exactly_once if delivery == "exactly-once" else found.at_least_once, str(found)
    [letter] = found.letters.values()
    assert (letter.key, letter.value) == (b"culprit", b"good deadly")
    assert letter.error("reason") == "crashed"
    assert int(letter.error("attempts")) >= 2
    assert 3 <= starts <= 10


def _answered(flow: Flow) -> bool:
    committed = flow.site.topics.committed(flow.name, flow.source)
    return sum(committed.values()) >= 300


def test_one_in_a_hundred_of_each_kind_of_poison_is_a_dead_letter_and_nothing_else_is(site):
    kinds = {
        "invalid-utf8": (b"\xff\xfe good", "decode"),
        "null-value": (None, "decode"),
        "non-finite": (b"good nan", "infer"),
        "inference-failed": (b"good outside", "infer"),
        "refused-by-broker": (b"good", "produce"),
    }
    chance = random.Random(7)
    expected: dict[bytes, str] = {}
    records = []
    for number in range(3000):
        record = Sent(b"good" if number % 2 else b"bad", key=str(number).encode())
        if number % 20 == 0:
            reason = list(kinds)[number // 20 % len(kinds)]
            future = 4_000_000_000_000 if reason == "refused-by-broker" else None
            record = Sent(kinds[reason][0], record.key, timestamp=future)
            expected[str(number).encode()] = reason
        records.append(record)
    chance.shuffle(records)
    with Flow(site, "exactly-once") as flow:
        site.topics.send(flow.source, records)
        flow.daemon(delay_ms=0)
        found = flow.finished()
    assert found.exactly_once, str(found)
    letters = {one.key: one for one in found.letters.values()}
    assert {key: one.error("reason") for key, one in letters.items()} == expected
    assert all(kinds[one.error("reason")][1] == one.error("stage") for one in letters.values())


def test_a_broken_model_stops_the_topology_instead_of_emptying_the_topic(site):
    moods(site.folder / "models", broken=True)
    with Flow(site, "exactly-once") as flow:
        site.topics.send(flow.source, [b"good"] * 3000)
        daemon = flow.daemon(delay_ms=0)
        assert daemon.process.wait(90) == 1
        assert "deadletter.max_consecutive" in daemon.text
        assert len(site.topics.read(flow.letters)) < 3000 // 2
        assert sum(site.topics.committed(flow.name, flow.source).values()) < 3000 // 2
        moods(site.folder / "models")  # it is mended: what is left is answered
        flow.daemon(delay_ms=0)
        found = flow.finished()
    assert found.exactly_once, str(found)
