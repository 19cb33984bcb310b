"""Fetched batches, read as the client reads them: its own builder writes, its own reader judges."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from support.batches import BYTES, CODECS, NOW

from streamer.broker.fetched import FetchedRecords, read_into_ours, records_of
from streamer.records import Record

WHERE = ClientPartition("in", 3)
_RECORDS = st.lists(
    st.tuples(
        st.integers(NOW - 10**9, NOW + 10**9),
        BYTES,
        BYTES,
        st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=3),
    ),
    min_size=1,
    max_size=20,
)


def written(records, *, magic=2, codec=0, base=0):
    """Write a batch as a producer, and give it the offsets that a broker would."""
    builder = MemoryRecordsBuilder(magic, codec, 2**20)
    for timestamp, key, value, headers in records:
        builder.append(timestamp, key, value, headers)
    builder.close()
    return base.to_bytes(8, "big") + bytes(builder.buffer())[8:]


def fetched(data, *, kind=FetchedRecords, offset=0, **more):
    return kind(offset, WHERE, MemoryRecords(data), **more)


def as_ours(found):
    return Record(
        found.topic,
        found.partition,
        found.offset,
        found.timestamp,
        found.key,
        found.value,
        tuple(found.headers),
    )


@given(_RECORDS, st.sampled_from(list(CODECS.values())), st.integers(0, 2**40))
def test_a_batch_is_read_as_the_client_reads_it(records, codec, base):
    data = written(records, codec=codec, base=base)
    theirs = fetched(data, kind=Fetcher.PartitionRecords)
    ours = fetched(data)
    assert ours.take() == [as_ours(found) for found in theirs.take()]
    assert ours.next_fetch_offset == theirs.next_fetch_offset == base + len(records)


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (1, 0), (1, 1)])
def test_what_was_written_before_kafka_0_11_is_read_too(magic, codec):
    records = [(NOW + n, b"k", b"value", []) for n in range(5)]
    data = b"".join(
        written([one], magic=magic, codec=codec, base=7 + n) for n, one in enumerate(records)
    )
    theirs = fetched(data, kind=Fetcher.PartitionRecords)
    ours = fetched(data)
    assert ours.take() == [as_ours(found) for found in theirs.take()]
    assert ours.next_fetch_offset == 12


def test_the_position_moves_with_what_is_taken_and_past_what_compaction_took():
    records = [(NOW, None, b"%d" % n, []) for n in range(4)]
    data = bytearray(written(records, base=10))
    data[23:27] = (9).to_bytes(4, "big")  # the last offset of the batch: records behind are gone
    ours = fetched(bytes(data), offset=11, check_crcs=False)
    assert [record.offset for record in ours.take(2)] == [11, 12]
    assert ours.next_fetch_offset == 13
    assert [record.offset for record in ours.take(5)] == [13]
    assert ours.next_fetch_offset == 20
    assert not ours


def test_a_header_may_have_no_value():
    builder = MemoryRecordsBuilder(2, 0, 2**20)

    class Headers(list):
        def __bool__(self):
            return False

    builder.append(NOW, None, b"v", Headers([("none", None), ("some", b"x"), ("empty", b"")]))
    builder.close()
    [record] = fetched(bytes(builder.buffer())).take()
    assert record.headers == (("none", None), ("some", b"x"), ("empty", b""))


def test_a_headers_name_that_is_no_utf8_is_read_as_javas_client_does():
    """Brokers take any bytes for a name; one of these must not keep a topic from being read."""
    data = written([(NOW, None, b"v", [("na#me", b"x")])]).replace(b"na#me", b"na\xffme")
    [record] = fetched(data, check_crcs=False).take()
    assert record.headers == (("na\ufffdme", b"x"),)


def test_the_brokers_time_counts_where_it_sets_it():
    data = bytearray(written([(NOW, None, b"a", []), (NOW + 5, None, b"b", [])]))
    data[22] |= 0x08  # log append time; then the batch's last timestamp is everybody's
    found = fetched(bytes(data), check_crcs=False).take()
    assert [record.timestamp for record in found] == [NOW + 5, NOW + 5]


def transaction(values, *, base, producer, kind="records"):
    records = [(NOW, None, value, []) for value in values]
    if kind != "records":
        key = (0).to_bytes(2, "big") + (1 if kind == "commit" else 0).to_bytes(2, "big")
        records = [(NOW, key, b"\0" * 6, [])]
    data = bytearray(written(records, base=base))
    data[22] |= 0x10 | (0x20 if kind != "records" else 0)
    data[43:51] = producer.to_bytes(8, "big")
    return bytes(data)


class Aborted:
    def __init__(self, producer_id, first_offset):
        self.producer_id, self.first_offset = producer_id, first_offset


@pytest.mark.parametrize("committed", [True, False])
def test_what_a_transaction_aborted_is_not_read(committed):
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    data = (
        transaction([b"kept"], base=0, producer=1)
        + transaction([b"aborted"], base=1, producer=2)
        + transaction([], base=2, producer=2, kind="abort")
        + transaction([], base=3, producer=1, kind="commit")
        + transaction([b"kept again"], base=4, producer=2)
    )
    told = {
        "check_crcs": False,
        "isolation_level": level,
        "aborted_transactions": [Aborted(2, 1)],
    }
    theirs = fetched(data, kind=Fetcher.PartitionRecords, **told).take()
    ours = fetched(data, **told)
    assert ours.take() == [as_ours(found) for found in theirs]
    between = [] if committed else [b"aborted"]
    assert [found.value for found in theirs] == [b"kept", *between, b"kept again"]
    assert ours.next_fetch_offset == 5


def test_an_empty_batch_that_compaction_left_of_a_marker_is_passed_by():
    marker = bytearray(transaction([], base=1, producer=1, kind="commit")[:61])
    marker[8:12] = (61 - 12).to_bytes(4, "big")
    marker[57:61] = (0).to_bytes(4, "big")
    kept = transaction([b"before"], base=0, producer=1)
    after = transaction([b"after"], base=2, producer=1)
    ours = fetched(
        kept + bytes(marker) + after,
        check_crcs=False,
        isolation_level=IsolationLevel.READ_COMMITTED,
    )
    assert [record.value for record in ours.take()] == [b"before", b"after"]


def test_a_wrong_checksum_is_told_after_what_came_before():
    good = written([(NOW, None, b"good", [])])
    bad = bytearray(written([(NOW, None, b"bad", [])], base=1))
    bad[-2] ^= 1
    ours = fetched(good + bytes(bad))
    assert [record.value for record in ours.take()] == [b"good"]
    with pytest.raises(errors.CorruptRecordError, match="checksum of a batch of in/3"):
        ours.take()


@given(st.data())
def test_damage_that_the_checksum_does_not_tell_is_found_or_does_no_harm(data):
    """Without checksums, a batch is read to its end or refused: nothing else is raised."""
    whole = bytearray(written([(NOW, b"key", b"value", [("h", b"v")])] * 3))
    at = data.draw(st.integers(61, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    batch = DefaultRecordBatch(bytes(whole))
    with suppress(errors.CorruptRecordError):
        assert len(list(records_of(batch, "in", 0))) == 3


def test_a_record_that_ends_elsewhere_than_it_says_is_corrupt():
    whole = bytearray(written([(NOW, b"key", b"value", [])]))
    whole[61] += 2  # its length
    with pytest.raises(
        errors.CorruptRecordError, match="in/0 at offset 0 cannot be read: a record"
    ):
        list(records_of(DefaultRecordBatch(bytes(whole)), "in", 0))
    longer = DefaultRecordBatch(written([(NOW, b"key", b"value", [])]) + b"xx")
    with pytest.raises(errors.CorruptRecordError, match="2 bytes lie behind"):
        list(records_of(longer, "in", 0))


def test_a_consumer_polls_our_records():
    class Client:
        _fetcher = type("F", (), {"PartitionRecords": Fetcher.PartitionRecords})()

    read_into_ours(Client)
    assert Client._fetcher.PartitionRecords is FetchedRecords
