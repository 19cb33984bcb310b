"""A producer that sends what Kafka allows, not only what kafka-python's `send` does.

kafka-python 3.0's `send` refuses a record without key and value and a header with a null value,
though both are legal; so records go straight into its accumulator, the partition chosen before.
"""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer, errors
from kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from streamer.broker.connection import client_settings, merged
from streamer.broker.failures import FENCED, RECORD_FAULTS, broker_error
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition

_BATCH_BYTES = 256 * 2**10
_LINGER_MS = 5
_RETRY_BACKOFF_MS = 10
_BUFFER_RECORD_BYTES = 128 * 2**20


class Pending:
    """A record on its way; known to be written or refused once the producer is flushed."""

    __slots__ = ("_future", "record")

    def __init__(self, record: OutRecord, future: Any) -> None:
        self.record = record
        self._future = future

    @property
    def failure(self) -> BrokerError | RecordError | None:
        """Why it is not written: for its own sake, or for the broker's; None if it is."""
        error = self._future.exception
        if error is None:
            if self._future.is_done:
                return None
            return BrokerError("a record is not acknowledged yet", retriable=True)
        if isinstance(error, RECORD_FAULTS):
            reason = "too-large" if "Large" in type(error).__name__ else "refused-by-broker"
            return RecordError(f"{type(error).__name__}: {error}", reason=reason)
        return broker_error(error, f"writing to {self.record.topic}")


class Producer:
    """Idempotent, acknowledged by all in-sync replicas; transactional if given an id."""

    def __init__(
        self,
        kafka: KafkaSettings,
        client: Mapping[str, Any] | None = None,
        *,
        transactional_id: str | None = None,
    ) -> None:
        fixed: dict[str, Any] = {"acks": "all", "enable_idempotence": True}
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
            "allow_auto_create_topics": False,
        }
        settings = merged(base, client or {}, fixed, set(KafkaProducer.DEFAULT_CONFIG))
        self._timeout = kafka.delivery_timeout
        try:
            self._client = KafkaProducer(**settings)
            if transactional_id is not None:
                self._client.init_transactions()
        except errors.KafkaError as error:
            raise broker_error(error, "opening the producer") from error

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions.

        Raises:
            BrokerError: the topic is missing or not ours to write.
        """
        try:
            found = self._client.partitions_for(topic)
        except errors.KafkaError as error:
            raise broker_error(error, f"reading the partitions of {topic}") from error
        return len(found)

    def append(self, record: OutRecord, partition: int) -> Pending:
        """Put a record on its way; nothing is certain before `flush`."""
        where = ClientPartition(record.topic, partition)
        manager = self._client._transaction_manager  # noqa: SLF001 - see the module's docstring
        if manager is not None and manager.is_transactional():
            manager.maybe_add_partition_to_transaction(where)
        try:
            future, full, fresh, _ = self._client._accumulator.append(  # noqa: SLF001
                where, record.timestamp, record.key, record.value, list(record.headers)
            )
        except errors.KafkaError as error:
            raise broker_error(error, f"writing to {record.topic}") from error
        if full or fresh:
            self._client._sender.wakeup()  # noqa: SLF001
        return Pending(record, future)

    def flush(self) -> None:
        """Wait until every record appended before is written or refused.

        Raises:
            BrokerError: neither happened within the delivery timeout.
        """
        try:
            self._client.flush(timeout=self._timeout + 5)
        except errors.KafkaError as error:
            raise broker_error(error, "waiting for acknowledgements") from error

    def begin(self) -> None:
        """Open a transaction."""
        try:
            self._client.begin_transaction()
        except errors.KafkaError as error:
            raise broker_error(error, "opening a transaction") from error

    def commit(self, positions: Mapping[TopicPartition, int], group: ConsumerGroupMetadata) -> None:
        """End the transaction with the positions in it; nothing of it is seen before."""
        offsets = {
            ClientPartition(*partition): OffsetAndMetadata(position, "", -1)
            for partition, position in positions.items()
        }
        try:
            self._client.send_offsets_to_transaction(offsets, group)
            self._client.commit_transaction()
        except FENCED as error:
            message = f"the transaction was refused: {type(error).__name__}"
            raise BrokerError(message, retriable=True) from error
        except errors.KafkaError as error:
            raise broker_error(error, "committing a transaction") from error

    def close(self, timeout: float = 5.0) -> None:
        """Close; what is not acknowledged by then is given up."""
        self._client.close(timeout=timeout)
