"""A producer over librdkafka.

It is told of failures alone: a record of which nothing was heard is written once a flush has come
to its end. That saves a call, and a copy of the record, for each that is acknowledged.
"""

from collections.abc import Mapping
from contextlib import suppress
from math import inf
from threading import Thread
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client
from kafka.structs import ConsumerGroupMetadata

from streamer.broker.failures import FENCED, RECORD_FAULTS
from streamer.broker.librdkafka.commits import noted
from streamer.broker.librdkafka.faults import error_of, fault, named, producer_fault
from streamer.broker.librdkafka.limits import ended
from streamer.broker.librdkafka.membership import packed
from streamer.broker.librdkafka.settings import client_settings, refused, renamed
from streamer.broker.offsets import Note, no_note
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition

_BATCH_BYTES = 256 * 2**10
_LINGER_MS = 5
_RETRY_BACKOFF_MS = 10
_RECORD_BYTES = 128 * 2**20
_QUEUED_RECORDS = 1_000_000
_QUEUED_KBYTES = 2**20
_FLUSH_GRACE_S = 5.0
_COMMIT_LEAST_S = 1.0
_BLOCK_S = 15.0
_FULL_S = 0.05
_REQUEST_MARGIN_S = 1.0
"""librdkafka wants its requests to end before the transaction does."""


class Flight:
    """What is appended between two flushes: one outcome, but for the records that failed."""

    def __init__(self) -> None:
        self.settled = False
        self._causes: dict[tuple[str, int, int], Exception] = {}

    def cause(self, topic: str, partition: int, error: KafkaError) -> Exception:
        """Give one error for all records that a partition refuses alike.

        Which of a batch is at fault is not told, nor which of them went in one batch.
        """
        where = topic, partition, error.code()
        return self._causes.setdefault(where, KafkaException(error))


class Pending:
    """A record on its way; known to be written or refused once the producer is flushed.

    Attributes:
        record: what is written.
        partition: the output partition that it goes to.
    """

    __slots__ = ("_error", "_flight", "_own", "partition", "record")

    def __init__(self, record: OutRecord, partition: int, flight: Flight) -> None:
        self.record = record
        self.partition = partition
        self._flight = flight
        self._error: KafkaError | None = None
        self._own: Exception | None = None

    def failed(self, error: KafkaError | None, _message: object) -> None:
        """Take note of why it is not written; librdkafka calls it, for failures alone."""
        self._error = error

    def refused(self, error: Exception) -> None:
        """Take note that the client did not even take it."""
        if isinstance(error, KafkaException):
            self._error = error_of(error)
        self._own = error

    @property
    def failure(self) -> BrokerError | RecordError | None:
        """Why it is not written: for its own sake, or for the broker's; None if it is."""
        error = self._error
        if error is None:
            if self._own is not None:
                return _refused(self._own, str(self._own), "refused-by-client")
            if self._flight.settled:
                return None
            return BrokerError("a record is not acknowledged yet", retriable=True)
        known = named(error)
        if not isinstance(known, RECORD_FAULTS):
            return producer_fault(error, f"writing to {self.record.topic}")
        reason = "too-large" if "Large" in type(known).__name__ else "refused-by-broker"
        cause = self._own or self._flight.cause(self.record.topic, self.partition, error)
        return _refused(cause, error.str(), reason, type(known).__name__)


def _refused(cause: Exception, told: str, reason: str, kind: str | None = None) -> RecordError:
    found = RecordError(f"{kind or type(cause).__name__}: {told}", reason=reason)
    found.__cause__ = cause
    return found


class Producer:
    """Idempotent, acknowledged by all in-sync replicas; transactional if given an id."""

    def __init__(
        self,
        kafka: KafkaSettings,
        client: Mapping[str, Any] | None = None,
        *,
        transactional_id: str | None = None,
    ) -> None:
        self._timeout = kafka.delivery_timeout
        self._transaction_s = kafka.transaction_timeout
        self._ends_at = inf  # of the transaction, if there is one
        self._known: set[str] = set()
        self._flight = Flight()
        settings = {**_base(kafka), **renamed(client or {}), "enable.idempotence": True}
        settings |= {"acks": "all", "delivery.report.only.error": True}
        if transactional_id is not None:
            settings |= transactional(kafka, transactional_id)
        try:
            self._client: Client | None = Client(settings)
        except (KafkaException, TypeError, ValueError) as error:
            raise refused(error, client or {}, "sink.kafka") from error
        if transactional_id is not None:
            self._settle(transactional_id)

    def _settle(self, transactional_id: str) -> None:
        """End what a predecessor of the same transactional id left open."""
        try:
            self._open.init_transactions(max(self._transaction_s, _BLOCK_S))
        except KafkaException as error:
            self.close(timeout=0)
            found = fault(error_of(error), f"opening the producer {transactional_id}")
            found.retriable = found.retriable or isinstance(named(error_of(error)), FENCED)
            raise found from error

    @property
    def _open(self) -> Client:
        if self._client is None:
            raise BrokerError("the producer is closed", retriable=True)
        return self._client

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions.

        Raises:
            BrokerError: the topic is missing or not ours to write.
        """
        doing = f"reading the partitions of {topic}"
        try:
            found = self._open.list_topics(topic, _BLOCK_S).topics.get(topic)
        except KafkaException as error:
            raise producer_fault(error_of(error), doing) from error
        if found is None or found.error is not None or not found.partitions:
            if found is not None and found.error is not None:
                raise producer_fault(found.error, doing)
            raise BrokerError(f"{doing}: it has none", retriable=True)
        self._known.add(topic)
        return len(found.partitions)

    def append(self, record: OutRecord, partition: int) -> Pending:
        """Put a record on its way; nothing is certain before `flush`, not even a refusal."""
        if record.topic not in self._known:
            self.partitions(record.topic)  # without it the record would wait until it expires
        pending = Pending(record, partition, self._flight)
        until = 0.0
        while True:
            try:
                self._open.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition,
                    pending.failed,
                    timestamp=record.timestamp or 0,
                    headers=list(record.headers) or None,
                )
            except BufferError as error:  # full: what is acknowledged makes room
                until = until or min(monotonic() + self._timeout, self._ends_at)
                if monotonic() < until:
                    self._open.poll(_FULL_S)
                    continue
                raise BrokerError("no room for records to be sent", retriable=True) from error
            except (KafkaException, TypeError, ValueError, OverflowError) as error:
                pending.refused(error)
            return pending

    def flush(self) -> None:
        """Wait until every record appended before is written or refused.

        Raises:
            BrokerError: neither happened within the delivery timeout.
        """
        flight, self._flight = self._flight, Flight()
        deadline = min(monotonic() + self._timeout + _FLUSH_GRACE_S, self._ends_at)
        left = self._open.flush(max(deadline - monotonic(), 0.0))
        if left:
            message = f"waiting for acknowledgements: {left} records have none in time"
            raise BrokerError(message, retriable=True)
        flight.settled = True

    def begin(self) -> None:
        """Open a transaction."""
        try:
            self._open.begin_transaction()
        except KafkaException as error:
            raise producer_fault(error_of(error), "opening a transaction") from error
        self._ends_at = monotonic() + self._transaction_s

    def commit(
        self,
        positions: Mapping[TopicPartition, int],
        group: ConsumerGroupMetadata,
        note: Note = no_note,
    ) -> None:
        """End the transaction with the positions in it; nothing of it is seen before.

        The time limit of librdkafka's call for positions is none: it waits for ever where the
        question who coordinates the group is not answered. Left to itself it keeps its client; once
        there is a new one under the same transactional id, the broker refuses whatever it asks.
        """
        client = self._open
        try:
            if positions:
                offsets, member, left = noted(positions, note), packed(group), self._left()
                if not ended(
                    lambda: client.send_offsets_to_transaction(offsets, member, left), left
                ):
                    message = "committing a transaction: no answer in time"
                    raise BrokerError(message, retriable=True)
            client.commit_transaction(self._left())
        except KafkaException as error:
            raise producer_fault(error_of(error), "committing a transaction") from error

    def _left(self) -> float:
        """Seconds for which the broker keeps the transaction open."""
        return max(self._ends_at - monotonic(), _COMMIT_LEAST_S)

    def close(self, timeout: float = 5.0) -> None:
        """Close; what is not acknowledged by then is given up, at once with a timeout of 0."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(KafkaException):
            if timeout:
                client.flush(timeout)
            client.purge()
            client.poll(0)  # what was given up is told, so that nothing keeps it
        ending = Thread(target=_end, args=([client],), name="close", daemon=True)
        del client
        ending.start()


def _end(held: list[Client]) -> None:
    """Let go of a client: its threads are waited for when nobody holds it any more."""
    held.clear()


def _base(kafka: KafkaSettings) -> dict[str, Any]:
    return {
        **client_settings(kafka),
        "batch.size": _BATCH_BYTES,
        "linger.ms": _LINGER_MS,
        "retry.backoff.ms": _RETRY_BACKOFF_MS,
        "message.max.bytes": _RECORD_BYTES,
        "queue.buffering.max.messages": _QUEUED_RECORDS,
        "queue.buffering.max.kbytes": _QUEUED_KBYTES,
        "delivery.timeout.ms": int(kafka.delivery_timeout * 1000),
        "allow.auto.create.topics": False,
    }


def transactional(kafka: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """Give what a transaction adds: nothing may take longer than itself."""
    request_s = min(kafka.request_timeout, kafka.transaction_timeout - _REQUEST_MARGIN_S)
    return {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": int(kafka.transaction_timeout * 1000),
        "delivery.timeout.ms": int(min(kafka.delivery_timeout, kafka.transaction_timeout) * 1000),
        "socket.timeout.ms": max(int(request_s * 1000), 1000),
    }
