"""What kafka-python 3.0.12 does that streamer works around (docs/delivery.md, the client's traps).

None of it is wanted: a test that fails after an upgrade says that a workaround may go, or that it
no longer works.
"""

from contextlib import ExitStack
from threading import current_thread
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.net.transport import KafkaTCPTransport
from kafka.structs import OffsetAndMetadata
from support.topics import Sent
from support.waiting import eventually

from streamer.broker.closing import NetClient
from streamer.broker.fetched import unpark, wake_for_records


@pytest.fixture
def clients():
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def producer(broker, clients):
    def opened(**settings):
        one = KafkaProducer(
            bootstrap_servers=broker, transactional_id=f"trap-{uuid4().hex}", **settings
        )
        clients.callback(one.close, timeout=1)
        one.init_transactions()
        return one

    return opened


@pytest.fixture
def member(broker, clients):
    def opened(topic, group, **settings):
        one = KafkaConsumer(
            topic,
            bootstrap_servers=broker,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=3000,
            heartbeat_interval_ms=500,
            metadata_max_age_ms=1000,  # one that joins before it knows the topic gets nothing
            **settings,
        )
        clients.callback(one.close, autocommit=False)
        return one

    return opened


def _polls_until_assigned(consumer):
    def asked():
        consumer.poll(timeout_ms=200)
        return consumer.assignment()

    return eventually(asked, "partitions are assigned")


def _offsets(topic, offset):
    return {TopicPartition(topic, 0): OffsetAndMetadata(offset, "", -1)}


def test_a_transaction_commits_although_one_of_its_records_has_expired(producer, topics):
    topic = topics.make(2)
    one = producer(delivery_timeout_ms=2500, request_timeout_ms=2000, linger_ms=0)
    one.partitions_for(topic)
    one.begin_transaction()
    one.send(topic, b"written", partition=1).get(timeout=10)
    one._accumulator.muted.add(TopicPartition(topic, 0))  # as if its leader were gone
    lost = one.send(topic, b"lost", partition=0)
    one.flush(timeout=30)
    assert isinstance(lost.exception, errors.KafkaTimeoutError)
    one.commit_transaction()
    assert [record.value for record in topics.read(topic)] == [b"written"]


def test_a_transaction_takes_the_positions_of_the_refused_one_before_it(
    producer, member, topics, kafka_admin
):
    source, other, group = topics.make(1), topics.make(1), f"trap-{uuid4().hex}"
    topics.send(source, [b"one", b"two"])
    topics.send(other, [b"one", b"two"])
    consumer = member(source, group)
    _polls_until_assigned(consumer)
    stale = consumer.group_metadata()._replace(generation_id=99)
    one = producer()
    one.begin_transaction()
    with pytest.raises(errors.CommitFailedError):
        one.send_offsets_to_transaction(_offsets(source, 2), stale)
    one.abort_transaction()
    one.begin_transaction()
    one.send_offsets_to_transaction(_offsets(other, 1), consumer.group_metadata())
    one.commit_transaction()
    eventually(lambda: topics.committed(group, other) == {0: 1}, "the position is committed")
    assert topics.committed(group, source) == {0: 2}  # nobody has answered these two


def test_a_transaction_that_the_broker_has_ended_looks_as_if_none_were_open(producer, topics):
    topic = topics.make(1)
    one = producer(transaction_timeout_ms=1000)
    one.begin_transaction()
    one.send(topic, b"aborted").get(timeout=10)

    def refused():
        try:
            one.send(topic, b"late").get(timeout=10)
        except errors.KafkaError:
            return True
        return False

    eventually(refused, "the broker has aborted the transaction", every=0.5)
    with pytest.raises(Exception, match=r"[Ii]nvalid transition"):
        one.abort_transaction()
    assert topics.read(topic) == []


def test_a_member_that_was_evicted_has_no_generation_and_is_not_fenced(producer, member, topics):
    source, sink, group = topics.make(1), topics.make(1), f"trap-{uuid4().hex}"
    topics.send(source, [b"one", b"two"])
    evicted = member(source, group, max_poll_interval_ms=3000)
    _polls_until_assigned(evicted)
    heir = member(source, group)
    eventually(
        lambda: heir.poll(timeout_ms=200) and heir.assignment(), "another member owns the partition"
    )
    metadata = evicted.group_metadata()
    assert (metadata.generation_id, metadata.member_id) == (-1, "")
    assert evicted.assignment() == {TopicPartition(source, 0)}  # it does not know
    one = producer()
    one.begin_transaction()
    one.send(sink, b"answered twice")
    one.send_offsets_to_transaction(_offsets(source, 2), metadata)
    one.commit_transaction()
    eventually(lambda: topics.committed(group, source) == {0: 2}, "the position is committed")


def test_a_record_without_a_key_goes_to_a_partition_by_chance(producer, topics):
    topic = topics.make(8)
    one = producer()
    one.begin_transaction()
    sent = [one.send(topic, b"keyless") for _ in range(64)]
    one.commit_transaction()
    assert len({future.get(timeout=10).partition for future in sent}) > 1


def test_records_that_kafka_takes_are_refused(producer, topics):
    topic = topics.make(1)
    one = producer()
    one.begin_transaction()
    with pytest.raises((ValueError, AssertionError)):
        one.send(topic)
    with pytest.raises((TypeError, AssertionError)):
        one.send(topic, b"value", headers=[("none", None)])


def test_a_position_out_of_range_is_reset_without_a_word(member, topics, kafka_admin):
    topic, group = topics.make(1), f"trap-{uuid4().hex}"
    place = TopicPartition(topic, 0)
    topics.send(topic, [b"one", b"two", b"three", b"four"])
    consumer = member(topic, group)
    _polls_until_assigned(consumer)
    consumer.seek(place, 0)
    kafka_admin.delete_records({place: 3})
    polled = eventually(lambda: consumer.poll(timeout_ms=200), "records come")
    assert [record.value for record in polled[place]] == [b"four"]


def test_a_flush_has_a_limit_and_the_end_of_a_transaction_has_none():
    assert "timeout" in KafkaProducer.flush.__code__.co_varnames
    for name in ("commit_transaction", "abort_transaction", "send_offsets_to_transaction"):
        arguments = getattr(KafkaProducer, name).__code__.co_varnames
        assert not any("timeout" in argument for argument in arguments), name


def test_records_set_aside_by_a_pause_wait_for_ever_once_others_were_read(broker, topics, clients):
    topic = topics.make(2)
    topics.send(topic, [Sent(str(number).encode()) for number in range(6)])
    first, second = (TopicPartition(topic, number) for number in range(2))
    consumer = KafkaConsumer(
        bootstrap_servers=broker, auto_offset_reset="earliest", max_poll_records=1
    )
    clients.callback(consumer.close)

    def polled():
        return [where for where, found in consumer.poll(timeout_ms=200).items() for _ in found]

    consumer.assign([first, second])
    consumer.pause(second)
    assert eventually(polled, "the first is read") == [first]
    consumer.pause(first)
    consumer.resume(second)
    for _ in range(3):
        assert eventually(polled, "the second is read") == [second]
    consumer.resume(first)
    assert not any(polled() for _ in range(10))
    unpark(consumer._fetcher)
    assert eventually(polled, "the first is read on") == [first]


@pytest.mark.parametrize("ours", [False, True])
def test_records_that_come_while_a_poll_asks_for_more_are_slept_on_but_not_ours(
    broker, topics, clients, ours
):
    topic = topics.make(1)
    topics.send(topic, [Sent(b"1")])
    consumer = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    clients.callback(consumer.close)
    fetcher = consumer._fetcher
    if ours:
        wake_for_records(fetcher)
    ask, fetch = fetcher.send_fetches, fetcher.fetch_records
    looked = []

    def ask_late():
        ask()
        eventually(lambda: not fetcher._nodes_with_pending_fetch_requests, "what was asked for")
        if fetcher._completed_fetches:  # the broker may have refused, for the topic is young
            ask()

    def fetch_and_look(*how, **more):
        records, asleep = fetch(*how, **more)
        if records or fetcher._completed_fetches:  # something has come
            looked.append((asleep, bool(records)))
        return records, asleep

    fetcher.send_fetches, fetcher.fetch_records = ask_late, fetch_and_look
    consumer.assign([TopicPartition(topic, 0)])
    assert eventually(lambda: consumer.poll(timeout_ms=50), "the record comes")
    assert looked[0] == (not ours, ours)


@pytest.mark.parametrize("ours", [False, True])
def test_connections_close_in_the_callers_thread_but_ours_in_the_one_that_reads(
    broker, topics, monkeypatch, ours
):
    topic = topics.make(1)
    names = set()
    closed = KafkaTCPTransport.close

    def seen(self):
        names.add(current_thread().name)
        closed(self)

    monkeypatch.setattr(KafkaTCPTransport, "close", seen)
    more = {"kafka_client": NetClient} if ours else {}
    consumer = KafkaConsumer(bootstrap_servers=broker, group_id=None, **more)
    consumer.end_offsets([TopicPartition(topic, 0)])
    names.clear()
    consumer.close()
    assert names
    assert (current_thread().name in names) is not ours
