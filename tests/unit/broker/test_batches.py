"""Batches on their way, written as the client writes them: its own builder and reader judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record.memory_records import MemoryRecordsBuilder
from support.batches import BYTES, CODECS, NOW, read

from streamer.broker.batches import Batch, Place, as_written
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition

WHERE = ClientPartition("out", 3)
SOURCE = TopicPartition("in", 0)
_RECORDS = st.lists(
    st.builds(
        OutRecord,
        st.just("out"),
        BYTES,
        BYTES,
        st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3).map(tuple),
        st.integers(NOW - 10**12, NOW + 10**12),
        st.just(SOURCE),
    ),
    min_size=1,
    max_size=30,
)


def out(value=b"v", key=b"k", timestamp=NOW):
    return OutRecord("out", key, value, (), timestamp, SOURCE)


@pytest.fixture
def accumulator():
    return RecordAccumulator(batch_size=10_000)


@pytest.fixture
def place(accumulator):
    return Place(accumulator, WHERE)


@given(_RECORDS, st.sampled_from(list(CODECS.values())))
def test_a_batch_is_written_as_the_client_writes_it(records, codec):
    ours, theirs = Batch(WHERE, codec, 10**6), MemoryRecordsBuilder(2, codec, 10**6)
    for number, record in enumerate(records):
        assert ours.write(record, as_written(record.headers)).failure.retriable
        theirs.append(record.timestamp, record.key, record.value, list(record.headers))
        assert ours.records.size_in_bytes() == theirs.size_in_bytes()
        assert ours.records.next_offset() == ours.record_count == number + 1
    for built in (ours.records, theirs):
        built.set_producer_state(7, 1, 42, is_transactional=True)
        built.close()
    assert ours.records.buffer() == theirs.buffer()


@given(
    st.lists(st.binary(max_size=4000), min_size=1, max_size=30),
    st.integers(100, 9000),
)
def test_a_batch_takes_as_much_as_the_clients_does(values, limit):
    ours, theirs = Batch(WHERE, 0, limit), MemoryRecordsBuilder(2, 0, limit)
    for value in values:
        record = out(value)
        taken = ours.write(record, as_written(()))
        assert (taken is None) == (theirs.append(NOW, b"k", value) is None)


def test_large_numbers_are_written_too():
    ours = Batch(WHERE, 0, 10**8)
    values = [bytes(10_001), bytes(3_000_000), b""]
    for value in values:
        ours.write(out(value, key=value), as_written(()))
    assert [(found.key, found.value) for found in read(ours)] == [(v, v) for v in values]


def test_a_record_without_a_time_gets_the_time_of_its_sending(monkeypatch):
    monkeypatch.setattr("streamer.broker.batches.time", lambda: 1_234.5678)
    batch = Batch(WHERE, 0, 10**6)
    batch.write(out(timestamp=None), as_written(()))
    assert [found.timestamp for found in read(batch)] == [1_234_567]


def test_a_batch_that_was_taken_away_takes_no_more(accumulator, place):
    first, fresh = place.append(out(), as_written(()))
    assert fresh
    second, fresh = place.append(out(), as_written(()))
    assert not fresh
    accumulator._batches[WHERE].popleft().records.close()
    third, fresh = place.append(out(), as_written(()))
    assert fresh
    assert (first._number, second._number, third._number) == (0, 1, 0)
    assert first._batch is second._batch
    assert third._batch is not first._batch
    assert len(accumulator._incomplete.all()) == 2


def test_a_full_batch_is_followed_by_another(accumulator, place):
    for _ in range(30):
        place.append(out(bytes(1000)), as_written(()))
    sizes = [batch.records.size_in_bytes() for batch in accumulator._batches[WHERE]]
    assert [size <= 10_000 for size in sizes] == [True] * 4
    assert sum(batch.record_count for batch in accumulator._batches[WHERE]) == 30


def test_a_producer_that_is_closed_takes_no_batch(accumulator, place):
    accumulator.close()
    with pytest.raises(errors.IllegalStateError):
        place.append(out(), as_written(()))
    assert accumulator._appends_in_progress.get() == 0


def test_a_record_that_cannot_be_written_leaves_no_batch_behind(accumulator, place):
    with pytest.raises(TypeError):
        place.append(out("no bytes"), as_written(()))
    assert not accumulator.has_incomplete
    place.append(out(b"before"), as_written(()))
    with pytest.raises(TypeError):
        place.append(out("no bytes"), as_written(()))
    place.append(out(b"behind"), as_written(()))
    [batch] = accumulator._batches[WHERE]
    assert [found.value for found in read(batch)] == [b"before", b"behind"]


def test_a_batch_that_is_cut_in_two_tells_each_record_of_its_own_half(accumulator, place):
    pending = [place.append(out(b"%d" % n), as_written(()))[0] for n in range(5)]
    whole = accumulator._batches[WHERE].popleft()
    whole.records.close()
    accumulator.split_and_reenqueue(whole)
    assert whole.produce_future._latch.is_set()  # who waits for it looks again
    first, second = accumulator._batches[WHERE]
    assert isinstance(pending[0].failure, BrokerError)
    first.complete(0, -1)
    named = {1: errors.InvalidTimestampError("out of range")}
    other = errors.KafkaError("because it was part of a batch")
    second.complete_exceptionally(named[1], lambda index: named.get(index, other))
    assert [one.failure for one in pending[:3]] == [None] * 3
    assert isinstance(pending[3].failure, BrokerError)
    assert isinstance(pending[4].failure, RecordError)
    assert [found.value for found in read(second)] == [b"3", b"4"]
