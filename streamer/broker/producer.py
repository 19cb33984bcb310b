"""A producer that sends what Kafka allows, not only what kafka-python's `send` does.

kafka-python 3.0's `send` refuses a record without key and value and a header with a null value,
though both are legal; so records go into batches of ours (`broker.batches`), the partition chosen
before.
"""

from collections.abc import Mapping
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any

from kafka import KafkaProducer, errors
from kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata

from streamer.broker.batches import Pending, Place, as_written
from streamer.broker.connection import check_kinds, check_names, client_settings, merged
from streamer.broker.failures import FENCED, broker_error, producer_error
from streamer.broker.offsets import Note, no_note, offsets_of
from streamer.broker.retries import retry_soon
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, ConfigError
from streamer.records import Headers, OutRecord, TopicPartition

_BATCH_BYTES = 256 * 2**10
_LINGER_MS = 5
_RETRY_BACKOFF_MS = 10
_BUFFER_RECORD_BYTES = 128 * 2**20
_FLUSH_GRACE_S = 5.0
_COMMIT_LEAST_S = 1.0
_BLOCK_MS = 15_000
_FORCED_CLOSE_S = 1.0
_FIXED: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "transactional_id": None,
    "key_serializer": None,
    "value_serializer": None,
    "partitioner": KafkaProducer.DEFAULT_CONFIG["partitioner"],
}
"""What delivery depends on; with a transactional id its timeout too."""
_CODECS = ("gzip", "snappy", "lz4", "zstd")


def check_producer_settings(given: Mapping[str, Any], where: str) -> None:
    """Check a topology's own settings of the producer, before anything is connected.

    Raises:
        ConfigError: naming the setting and its place.
    """
    fixed = {*_FIXED, "transaction_timeout_ms"}
    check_names(given, fixed, set(KafkaProducer.DEFAULT_CONFIG), where)
    check_kinds(given, KafkaProducer.DEFAULT_CONFIG, where)
    codec = given.get("compression_type")
    if codec is not None and codec not in _CODECS:
        known = ", ".join(_CODECS)
        raise ConfigError(f"{where}.compression_type: expected one of {known}; got {codec!r}")


class Producer:
    """Idempotent, acknowledged by all in-sync replicas; transactional if given an id."""

    def __init__(
        self,
        kafka: KafkaSettings,
        client: Mapping[str, Any] | None = None,
        *,
        transactional_id: str | None = None,
    ) -> None:
        fixed = dict(_FIXED)
        if transactional_id is not None:
            fixed["transactional_id"] = transactional_id
            fixed["transaction_timeout_ms"] = int(kafka.transaction_timeout * 1000)
        base = {
            **client_settings(kafka),
            "metrics_enabled": False,
            "batch_size": _BATCH_BYTES,
            "linger_ms": _LINGER_MS,
            "retry_backoff_ms": _RETRY_BACKOFF_MS,
            "max_request_size": _BUFFER_RECORD_BYTES,
            "delivery_timeout_ms": int(kafka.delivery_timeout * 1000),
            "max_block_ms": _BLOCK_MS,
            "allow_auto_create_topics": False,
        }
        settings = merged(base, client or {}, fixed, set(KafkaProducer.DEFAULT_CONFIG))
        self._timeout = kafka.delivery_timeout
        self._transaction_s = kafka.transaction_timeout
        self._ends_at = inf  # of the transaction, if there is one
        self._known: set[str] = set()
        self._places: dict[tuple[str, int], Place] = {}
        self._enlisted: set[Place] = set()
        self._headers_of: Headers = ()
        self._headers = as_written(())
        try:
            self._client = KafkaProducer(**settings)
        except errors.KafkaError as error:
            raise broker_error(error, "opening the producer") from error
        if transactional_id is not None:
            retry_soon(self._client)
            self._settle(transactional_id)

    def _settle(self, transactional_id: str) -> None:
        """End what a predecessor of the same transactional id left open."""
        try:
            self._client.init_transactions()
        except errors.KafkaError as error:
            self.close(timeout=0)
            found = broker_error(error, f"opening the producer {transactional_id}")
            found.retriable = found.retriable or isinstance(error, FENCED)
            raise found from error

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions.

        Raises:
            BrokerError: the topic is missing or not ours to write.
        """
        try:
            found = self._client.partitions_for(topic)
        except errors.KafkaError as error:
            raise broker_error(error, f"reading the partitions of {topic}") from error
        self._known.add(topic)
        return len(found)

    def append(self, record: OutRecord, partition: int) -> Pending:
        """Put a record on its way; nothing is certain before `flush`, not even a refusal."""
        place = self._places.get((record.topic, partition)) or self._place(record.topic, partition)
        try:
            if record.headers is not self._headers_of:  # most have the very same ones
                self._headers, self._headers_of = as_written(record.headers), record.headers
            if place not in self._enlisted:
                self._enlist(place)
            pending, fresh = place.append(record, self._headers)
        except (errors.KafkaError, TypeError, ValueError, OverflowError) as error:
            return Pending(record, partition, _refusal=error)
        if fresh:  # of a full one the sender has been told when the next was begun
            self._client._sender.wakeup()  # noqa: SLF001
        return pending

    def _place(self, topic: str, partition: int) -> Place:
        if topic not in self._known:
            self.partitions(topic)  # without it the record would wait until it expires
        accumulator = self._client._accumulator  # noqa: SLF001 - see the module's docstring
        place = Place(accumulator, ClientPartition(topic, partition))
        return self._places.setdefault((topic, partition), place)

    def _enlist(self, place: Place) -> None:
        """Make a partition part of the transaction, if there is one."""
        manager = self._client._transaction_manager  # noqa: SLF001 - see the module's docstring
        if manager is not None and manager.is_transactional():
            manager.maybe_add_partition_to_transaction(place.where)
        self._enlisted.add(place)

    def flush(self) -> None:
        """Wait until every record appended before is written or refused.

        Raises:
            BrokerError: neither happened within the delivery timeout.
        """
        deadline = min(monotonic() + self._timeout + _FLUSH_GRACE_S, self._ends_at)
        while True:
            try:
                self._client.flush(timeout=max(deadline - monotonic(), 0))
            except errors.UnknownError:
                continue  # a batch was cut in two for its size: its halves are waited for
            except errors.KafkaError as error:
                raise producer_error(error, "waiting for acknowledgements") from error
            return

    def begin(self) -> None:
        """Open a transaction."""
        try:
            self._client.begin_transaction()
            self._enlisted.clear()
            self._ends_at = monotonic() + self._transaction_s
        except errors.KafkaError as error:
            raise producer_error(error, "opening a transaction") from error

    def commit(
        self,
        positions: Mapping[TopicPartition, int],
        group: ConsumerGroupMetadata,
        note: Note = no_note,
    ) -> None:
        """End the transaction with the positions in it; nothing of it is seen before.

        The client's own calls have no time limit, and after a lost connection may wait for ever
        for an answer that never comes.
        """
        manager = self._client._transaction_manager  # noqa: SLF001 - see the module's docstring
        try:
            if positions:
                offsets = offsets_of(positions, note)
                self._wait_for(manager.send_offsets_to_transaction(offsets, group))
            self._wait_for(manager.begin_commit())
        except FENCED as error:
            message = f"the transaction was refused: {type(error).__name__}"
            raise BrokerError(message, retriable=True) from error
        except errors.KafkaError as error:
            raise producer_error(error, "committing a transaction") from error

    def _wait_for(self, result: Any) -> None:
        """Wait for a step of the commit as long as the broker keeps the transaction open."""
        self._client._sender.wakeup()  # noqa: SLF001
        left = max(self._ends_at - monotonic(), _COMMIT_LEAST_S)
        if not result.wait(timeout_ms=left * 1000):
            raise BrokerError("committing a transaction: no answer in time", retriable=True)

    def close(self, timeout: float = 5.0) -> None:
        """Close; what is not acknowledged by then is given up, at once with a timeout of 0."""
        sender = self._client._sender  # noqa: SLF001
        if not timeout:
            sender.force_close()
        try:
            self._client.close(timeout=timeout or _FORCED_CLOSE_S)
        except errors.KafkaError:  # the client's close raises, and closes nothing, if it must wait
            sender.force_close()
            with suppress(errors.KafkaError):
                self._client.close(timeout=_FORCED_CLOSE_S)
