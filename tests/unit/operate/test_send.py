from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from streamer.broker import partition_for
from streamer.errors import BrokerError, ConfigError, RecordError
from streamer.operate import send as send_module
from streamer.operate.outgoing import Sending, outgoing
from streamer.operate.send import Sender, Tally
from streamer.records import OutRecord


@dataclass
class Receipt:
    record: OutRecord
    partition: int
    failure: Exception | None = None


@dataclass
class Notebook:
    """Takes records down; refuses those with a value it is told to."""

    refused: bytes = b"-"
    breaks_at: int | None = None
    flushes: int = 0
    sent: list[tuple[int, OutRecord]] = field(default_factory=list)
    most_pending: int = 0
    poisoned: bool = False
    _pending: int = 0

    def partitions(self, topic):
        return 3

    def append(self, record, partition):
        self.sent.append((partition, record))
        self._pending += 1
        self.most_pending = max(self.most_pending, self._pending)
        failure: Exception | None = None
        if self.poisoned:
            failure = BrokerError("given up", retriable=True)
        elif record.value == self.refused:
            failure = RecordError("too large", reason="too-large")
            self.poisoned = True
        return Receipt(record, partition, failure)

    def close(self):
        self.poisoned = False

    def flush(self):
        self.flushes += 1
        self._pending = 0
        if self.flushes == self.breaks_at:
            raise BrokerError("no answer", retriable=True)


@pytest.fixture
def lines(tmp_path):
    file = tmp_path / "some.jsonl"
    file.write_text('{"id": 7, "text": "a"}\n{"id": 8, "text": "b"}\n{"id": 9, "text": "c"}\n')
    return file


def send(sending: Sending, notebook: Notebook, **clock) -> Tally:
    tally = Tally()
    records = outgoing(sending, list(sending.files))
    Sender(lambda: notebook, sending, tally, lambda read: None, **clock).send(records)
    return tally


def test_records_carry_headers_and_their_content_type(lines):
    notebook = Notebook()
    tally = send(Sending("t", (lines,), headers=("a=1", "b=x=y", "c=")), notebook)
    assert (tally.acknowledged, tally.failed) == (3, 0)
    _, first = notebook.sent[0]
    assert first.headers == (
        ("a", b"1"),
        ("b", b"x=y"),
        ("c", b""),
        ("content-type", b"application/json"),
    )
    assert first.key is None


def test_a_content_type_that_is_given_stays(lines):
    notebook = Notebook()
    send(Sending("t", (lines,), headers=("Content-Type=text/x",)), notebook)
    assert notebook.sent[0][1].headers == (("Content-Type", b"text/x"),)


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("fixed", [b"fixed"] * 3),
        ("{id}", [b"7", b"8", b"9"]),
        ("{name}-{number}", [b"some-0", b"some-1", b"some-2"]),
    ],
)
def test_keys_are_made_of_what_is_named(lines, key, keys):
    notebook = Notebook()
    send(Sending("t", (lines,), key=key), notebook)
    assert [record.key for _, record in notebook.sent] == keys
    partitions = [partition_for(record, 3, "key") for _, record in notebook.sent]
    assert [partition for partition, _ in notebook.sent] == partitions


def test_records_without_key_go_round(lines):
    notebook = Notebook()
    send(Sending("t", (lines,), repeat=2), notebook)
    assert [partition for partition, _ in notebook.sent] == [0, 1, 2, 0, 1, 2]


def test_a_field_that_is_not_there_is_refused_and_what_was_sent_is_settled(lines):
    notebook = Notebook()
    tally = Tally()
    sending = Sending("t", (lines,), key="{user}")
    with pytest.raises(ConfigError, match=r"some.jsonl:1: has no field 'user' for --key"):
        Sender(lambda: notebook, sending, tally, lambda read: None).send(outgoing(sending, [lines]))


def test_a_header_that_is_none_is_refused_before_anything_is_sent(lines):
    with pytest.raises(ConfigError, match="--header: expected NAME=VALUE; got 'x'"):
        outgoing(Sending("t", (lines,), headers=("x",)), [lines])


def test_what_is_refused_is_counted_and_those_it_took_with_it_are_sent_again(tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("a\n-\nb\n-\nc\n")
    tally = send(Sending("t", (file,)), Notebook())
    assert (tally.acknowledged, tally.failed, tally.failures) == (3, 2, ["too large"] * 2)


def test_what_cannot_be_written_is_not_tried_for_ever(tmp_path):
    class Broken(Notebook):
        def append(self, record, partition):
            self.poisoned = True
            return super().append(record, partition)

    file = tmp_path / "some.txt"
    file.write_text("a\n")
    notebook = Broken()
    tally = send(Sending("t", (file,)), notebook)
    assert (tally.acknowledged, tally.failed, tally.failures) == (0, 1, ["given up"])
    assert len(notebook.sent) == 4


def test_no_more_is_on_its_way_than_fits_in_memory(lines, monkeypatch):
    monkeypatch.setattr(send_module, "_MOST_RECORDS", 4)
    notebook = Notebook()
    tally = send(Sending("t", (lines,), repeat=7), notebook)
    assert tally.acknowledged == 21
    assert notebook.most_pending == 4


def test_a_rate_is_kept_and_acknowledgements_are_taken_while_waiting(lines):
    now = count(0.0, 0.0001)
    slept: list[float] = []
    offset = [0.0]

    def clock():
        return next(now) + offset[0]

    def sleep(seconds):
        slept.append(seconds)
        offset[0] += seconds

    notebook = Notebook()
    send(Sending("t", (lines,), rate=10), notebook, clock=clock, sleep=sleep)
    assert sum(slept) == pytest.approx(0.2, abs=0.01)
    assert notebook.flushes == 3


def test_a_broker_that_does_not_answer_is_told_after_counting(lines):
    notebook = Notebook(breaks_at=1)
    tally = Tally()
    sending = Sending("t", (lines,))
    with pytest.raises(BrokerError):
        Sender(lambda: notebook, sending, tally, lambda read: None).send(outgoing(sending, [lines]))
    assert tally.acknowledged + tally.failed == 3


def test_what_was_read_is_told_for_the_progress(lines):
    told: list[int] = []
    sending = replace(Sending("t", (lines,)), repeat=2)
    Sender(Notebook, sending, Tally(), told.append).send(outgoing(sending, [lines]))
    assert sum(told) == 2 * lines.stat().st_size
