"""The producer on top of the client's own accumulator and futures, without a broker."""

import pytest
from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.transaction_manager import TransactionalRequestResult
from support.batches import read

from streamer.broker import Producer
from streamer.broker.batches import Batch, as_written
from streamer.broker.failures import broker_error, producer_error
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition

OUT = OutRecord("out", b"k", b"v", (), 1, TopicPartition("in", 0))


class Sender:
    def __init__(self):
        self.forced = False

    def wakeup(self):
        pass

    def force_close(self):
        self.forced = True


class Client:
    """As much of the client as the producer uses below its public `send`."""

    def __init__(self):
        self._accumulator = RecordAccumulator()
        self._sender = Sender()
        self._transaction_manager = None
        self.flushes = []
        self.closes = []

    def partitions_for(self, topic):
        return {0, 1}

    def flush(self, timeout):
        outcome = self.flushes.pop(0) if self.flushes else None
        if outcome is not None:
            raise outcome

    def close(self, timeout):
        self.closes.append(timeout)
        if not self._sender.forced:
            raise errors.KafkaTimeoutError("Timeout waiting for future")


class Refusing:
    def is_transactional(self):
        return True

    def maybe_add_partition_to_transaction(self, partition):
        raise errors.KafkaError("Cannot perform send because a previous request has failed")


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def producer(client):
    made = Producer.__new__(Producer)
    made._client = client
    made._timeout = 1.0
    made._transaction_s = 0.0
    made._ends_at = float("inf")
    made._known = set()
    made._places = {}
    made._enlisted = set()
    made._headers_of, made._headers = (), as_written(())
    return made


def batch_of(number):
    batch = Batch(ClientPartition("out", 0), 0, 10**6)
    return batch, [batch.write(OUT, as_written(())) for _ in range(number)]


def written(client):
    [batch] = client._accumulator._batches[ClientPartition("out", 0)]
    return read(batch)


@pytest.mark.parametrize(
    "headers", [(("a", None),), (("a", b"1"), ("a", None), ("", b"")), (("a", b"1"),), ()]
)
@pytest.mark.parametrize("key", [None, b"", b"k"])
@pytest.mark.parametrize("value", [None, b"", b"v"])
def test_every_record_that_kafka_allows_is_sent_as_it_is(producer, client, headers, key, value):
    producer.append(OutRecord("out", key, value, headers, 17, OUT.source), 0)
    [record] = written(client)
    assert (record.key, record.value, record.timestamp) == (key, value, 17)
    assert tuple(record.headers) == headers


def test_what_the_client_cannot_write_is_the_records_own_fault(producer):
    pending = producer.append(OutRecord("out", None, b"", (("\ud800", b""),), 1, OUT.source), 0)
    assert isinstance(pending.failure, RecordError)
    assert pending.failure.reason == "refused-by-client"


def test_a_producer_that_has_failed_says_so_of_the_record_and_may_be_replaced(producer, client):
    client._transaction_manager = Refusing()
    failure = producer.append(OUT, 0).failure
    assert isinstance(failure, BrokerError)
    assert failure.retriable


def test_a_record_on_its_way_is_not_written_yet():
    _, [pending] = batch_of(1)
    assert isinstance(pending.failure, BrokerError)
    assert pending.failure.retriable


def test_an_acknowledged_record_is_written():
    batch, [pending] = batch_of(1)
    batch.complete(0, -1)
    assert pending.failure is None


def test_a_batch_refused_without_a_word_of_which_record_shares_one_cause():
    batch, pending = batch_of(3)
    error = errors.InvalidTimestampError("out of range")
    batch.complete_exceptionally(error, lambda _: error)
    failures = [one.failure for one in pending]
    assert all(isinstance(failure, RecordError) for failure in failures)
    assert {id(failure.__cause__) for failure in failures} == {id(error)}


def test_a_record_that_the_broker_names_is_at_fault_and_its_neighbours_are_not():
    batch, pending = batch_of(3)
    named = {1: errors.InvalidTimestampError("out of range")}
    other = errors.KafkaError("Failed to append record because it was part of a batch")
    batch.complete_exceptionally(named[1], lambda index: named.get(index, other))
    first, second, third = [one.failure for one in pending]
    assert isinstance(second, RecordError)
    assert second.reason == "refused-by-broker"
    for neighbour in (first, third):
        assert isinstance(neighbour, BrokerError)
        assert neighbour.retriable


def test_a_batch_given_up_with_anothers_error_is_not_at_fault():
    batch, [pending] = batch_of(1)
    batch.abort(errors.InvalidTimestampError("of another batch"))
    assert isinstance(pending.failure, BrokerError)
    assert pending.failure.retriable


def test_too_large_a_record_is_told_as_such():
    batch, [pending] = batch_of(1)
    batch.complete_exceptionally(
        errors.MessageSizeTooLargeError(), lambda _: errors.MessageSizeTooLargeError()
    )
    assert pending.failure.reason == "too-large"


def test_flushing_goes_on_when_a_batch_is_cut_in_two(producer, client):
    client.flushes = [errors.UnknownError("Future not done"), None]
    producer.flush()
    assert client.flushes == []


def test_flushing_that_takes_too_long_may_be_tried_again(producer, client):
    client.flushes = [errors.KafkaTimeoutError("Timeout waiting for future")]
    with pytest.raises(BrokerError) as raised:
        producer.flush()
    assert raised.value.retriable


def test_closing_never_raises_and_ends_what_does_not_end_by_itself(producer, client):
    producer.close(timeout=2)
    assert client._sender.forced
    assert client.closes == [2, 1.0]


def test_closing_at_once_waits_for_no_acknowledgement(producer, client):
    producer.close(timeout=0)
    assert client.closes == [1.0]


@pytest.mark.parametrize(
    ("error", "retriable", "told"),
    [
        (errors.NotLeaderForPartitionError(), True, "NotLeaderForPartitionError"),
        (errors.KafkaTimeoutError("late"), True, "KafkaTimeoutError: late"),
        (errors.TopicAuthorizationFailedError("t"), False, "the principal lacks a right"),
        (errors.FencedInstanceIdError(), False, "the same group_instance_id"),
        (errors.ProducerFencedError(), False, "ProducerFencedError"),
    ],
)
def test_errors_of_the_client_say_who_has_to_act(error, retriable, told):
    found = broker_error(error, "reading")
    assert found.retriable is retriable
    assert str(found).startswith("reading: ")
    assert told in str(found)


@pytest.mark.parametrize(
    ("error", "retriable"),
    [
        (errors.ProducerFencedError(), True),
        (errors.InvalidProducerEpochError(), True),
        (errors.OutOfOrderSequenceNumberError(), True),
        (errors.TransactionAbortedError(), True),
        (errors.KafkaError("in an error state"), True),
        (errors.TopicAuthorizationFailedError("t"), False),
        (errors.GroupAuthorizationFailedError("g"), False),
        (errors.UnsupportedVersionError(), False),
    ],
)
def test_what_ends_a_producer_only_is_tried_again_with_a_new_one(error, retriable):
    assert producer_error(error, "writing").retriable is retriable


class Silent:
    """A transaction manager whose requests are never answered."""

    def __init__(self):
        self.asked = []

    def send_offsets_to_transaction(self, offsets, group):
        self.asked.append("offsets")
        return TransactionalRequestResult()

    def begin_commit(self):
        self.asked.append("commit")
        return TransactionalRequestResult()


def test_a_commit_that_is_never_answered_is_given_up(producer, client, monkeypatch):
    monkeypatch.setattr("streamer.broker.producer._COMMIT_LEAST_S", 0.01)
    client._transaction_manager = Silent()
    client.begin_transaction = lambda: None
    producer.begin()
    with pytest.raises(BrokerError, match="no answer in time") as found:
        producer.commit({TopicPartition("texts", 0): 7}, None)
    assert found.value.retriable
    assert client._transaction_manager.asked == ["offsets"]
