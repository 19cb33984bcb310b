"""What librdkafka 2 does that streamer works around (docs/delivery.md, over librdkafka).

None of it is wanted: a test that fails after an upgrade says that a workaround may go, or that it
no longer works.
"""

import time
from contextlib import ExitStack, closing, suppress
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from support.topics import Sent
from support.waiting import eventually

from streamer.broker import MissingPositionsError, open_member
from streamer.broker.librdkafka.membership import unpacked
from streamer.config.settings import KafkaSettings
from streamer.consume import Assignment
from streamer.records import TopicPartition as Place


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield lambda client: stack.enter_context(closing(client))


@pytest.fixture
def member(broker, opened):
    def open_one(topic, group, client):
        held = Assignment()
        kafka = KafkaSettings(
            bootstrap_servers=broker, client=client, session_timeout=3.0, heartbeat_interval=0.3
        )
        one = open_member(kafka, group, [topic], held, {}, max_poll_records=100, revoke_timeout=1.0)
        return opened(one), held

    return open_one


@pytest.fixture
def reader(broker, opened):
    def assigned(topic):
        one = Consumer(
            {
                "bootstrap.servers": broker,
                "group.id": f"trap-{uuid4().hex}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        one.assign([TopicPartition(topic, 0, 0)])
        return opened(one)

    return assigned


def test_the_position_stands_before_aborted_records_and_the_end_that_is_told_does_not(
    broker, topics, reader
):
    topic = topics.make(1)
    left = Producer({"bootstrap.servers": broker, "transactional.id": f"trap-{uuid4().hex}"})
    left.init_transactions(10)
    left.begin_transaction()
    left.produce(topic, b"aborted", partition=0)
    left.flush(10)
    left.abort_transaction(10)
    one = reader(topic)
    told = eventually(lambda: one.consume(1, 0.2), "the end is told")
    assert told[0].error() is not None
    assert told[0].offset() == topics.ends(topic)[0] == 2


def test_a_timestamp_of_zero_is_that_of_sending(broker, topics):
    topic = topics.make(1)
    one = Producer({"bootstrap.servers": broker})
    one.produce(topic, b"of 1970", partition=0, timestamp=0)
    assert one.flush(10) == 0
    assert topics.read(topic, 1)[0].timestamp > time.time() * 1000 - 60_000


def test_a_flush_that_does_not_end_says_how_many_it_has_left():
    one = Producer({"bootstrap.servers": "127.0.0.1:1"})
    one.produce("nowhere", b"lost")
    assert one.flush(0.2) == 1
    one.purge()


def test_both_clients_share_a_group_and_read_each_others_notes(topics, member):
    topic, group = topics.make(2), f"mixed-{uuid4().hex}"
    topics.send(topic, [Sent(str(number).encode()) for number in range(6)])
    one, first = member(topic, group, "librdkafka")
    other, second = member(topic, group, "kafka-python")

    def shared():
        for each in (one, other):
            with suppress(MissingPositionsError):
                each.poll(0.05)
        return len(first.epochs()) == len(second.epochs()) == 1

    eventually(shared, "each has a partition")
    membership = unpacked(one._client.consumer_group_metadata())
    assert membership.member_id == one.member_id
    assert membership.generation_id > 0
    for writer, readers in ((one, (one, other)), (other, (one, other))):
        [place] = first.epochs() if writer is one else second.epochs()
        writer.commit({place: 1}, lambda _place: "a note")
        assert [reader.committed(place) for reader in readers] == [(1, "a note")] * 2
    [place] = first.epochs()
    assert one.seek(place, 0)
    found = eventually(lambda: one.poll(0.2), "records come")
    assert found[Place(*place)][0].offset == 0
