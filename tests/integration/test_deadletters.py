"""Dead letters looked into and replayed, on a real broker."""

from collections.abc import Callable
from time import monotonic

import pytest

from streamer.broker import Producer, Reader
from streamer.config import Settings
from streamer.config.settings import KafkaSettings
from streamer.encode import dead_letter
from streamer.operate.deadletters import Choice, letter_at, letters, replay
from streamer.records import Record, Rejection

TopicFactory = Callable[..., str]


@pytest.fixture
def settings(broker: str) -> Settings:
    return Settings(kafka=KafkaSettings(bootstrap_servers=broker))


@pytest.fixture
def filled(settings: Settings, topic: TopicFactory) -> tuple[str, str]:
    """A source topic, and a topic with four of its dead letters in two partitions."""
    source, dead = topic(2), topic(2)
    producer = Producer(settings.kafka)
    for offset in range(4):
        stage, reason = ("decode", "invalid-utf8") if offset % 2 else ("infer", "crashed")
        key = b"k%d" % offset if offset else None
        record = Record(source, offset % 2, offset, 1_700_000_000_000, key, b"v", (("h", None),))
        letter = dead_letter(dead, "t", record, Rejection(stage, None, reason, "X", "seen"))
        producer.append(letter, offset % 2)
    producer.flush()
    producer.close()
    return source, dead


def read(settings: Settings, topic: str, count: int) -> list[Record]:
    """Read records that are committed: they are seen a moment after the commit was answered."""
    found: list[Record] = []
    deadline = monotonic() + 60
    with Reader(settings.kafka) as reader:
        reader.assign(reader.partitions(topic))
        while len(found) < count and monotonic() < deadline:
            found += reader.poll(0.2)
        found += reader.poll(0.5)
    return found


def test_letters_are_found_by_stage_reason_and_time(
    settings: Settings, filled: tuple[str, str]
) -> None:
    _, dead = filled

    def count(choice: Choice) -> int:
        with Reader(settings.kafka) as reader:
            return len(list(letters(reader, dead, choice)))

    assert count(Choice()) == 4
    assert count(Choice(stage="decode")) == 2
    assert count(Choice(stage="decode", reason="crashed")) == 0
    assert count(Choice(since="1h")) == 0
    assert count(Choice(since="2023-11-01T00:00", until="2023-11-30T00:00")) == 4


def test_one_letter_is_shown_by_its_place(settings: Settings, filled: tuple[str, str]) -> None:
    with Reader(settings.kafka) as reader:
        assert letter_at(reader, f"{filled[1]}/0/0").value == b"v"


def test_a_replay_restores_key_value_and_headers_and_goes_on_where_it_ended(
    settings: Settings, filled: tuple[str, str]
) -> None:
    source, dead = filled
    assert replay(settings, dead, Choice(), again=False, dry=True).counts == {source: 4}
    assert replay(settings, dead, Choice(), again=False, dry=False).counts == {source: 4}
    assert replay(settings, dead, Choice(), again=False, dry=False).counts == {}
    found = read(settings, source, 4)
    assert sorted(record.key or b"" for record in found) == [b"", b"k1", b"k2", b"k3"]
    assert {record.value for record in found} == {b"v"}
    assert {record.headers for record in found} == {(("h", None),)}


def test_a_filtered_replay_takes_only_what_fits(
    settings: Settings, filled: tuple[str, str]
) -> None:
    source, dead = filled
    choice = Choice(reason="crashed")
    assert replay(settings, dead, choice, again=False, dry=False).counts == {source: 2}
