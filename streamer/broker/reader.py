"""Reading topics without a group: for `tail`, for single records, for tests."""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from kafka import KafkaConsumer, errors
from kafka import TopicPartition as ClientPartition

from streamer.broker.connection import client_settings
from streamer.broker.failures import broker_error
from streamer.broker.fetched import read_into_ours, wake_for_records
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError
from streamer.records import Record, TopicPartition


class Reader:
    """Reads partitions from wherever it is told; commits nothing."""

    def __init__(self, kafka: KafkaSettings, *, isolation_level: str = "read_committed") -> None:
        try:
            self._client = KafkaConsumer(
                **client_settings(kafka),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level=isolation_level,
                fetch_max_wait_ms=250,
                max_partition_fetch_bytes=16 * 2**20,
                allow_auto_create_topics=False,
            )
            read_into_ours(self._client)
            wake_for_records(self._client._fetcher)  # noqa: SLF001 - it has no public word for it
        except errors.KafkaError as error:
            raise broker_error(error, "opening the reader") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Give a topic's partitions.

        Raises:
            BrokerError: there is no such topic, or it may not be described.
        """
        found = self._client.partitions_for_topic(topic)
        if not found:
            right = "kafka-acls.sh --add --allow-principal User:… --operation Read"
            raise BrokerError(
                f"the topic '{topic}' does not exist, or the principal may not read it "
                f"({right} --topic {topic})",
                retriable=False,
            )
        return [TopicPartition(topic, partition) for partition in sorted(found)]

    def assign(self, partitions: Iterable[TopicPartition], *, at_end: bool = False) -> None:
        """Read these partitions, from their beginning or from their end on."""
        chosen = [ClientPartition(*partition) for partition in partitions]
        self._client.assign(chosen)
        if at_end:
            self._client.seek_to_end(*chosen)
            for partition in chosen:
                self._client.position(partition)  # the end as of now, not as of the first poll
        else:
            self._client.seek_to_beginning(*chosen)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset of an assigned partition."""
        self._client.seek(ClientPartition(*partition), offset)

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets behind the last records."""
        wanted = [ClientPartition(*partition) for partition in partitions]
        try:
            found = self._client.end_offsets(wanted)
        except errors.KafkaError as error:
            raise broker_error(error, "reading the ends of partitions") from error
        return {TopicPartition(*at): int(offset) for at, offset in found.items()}

    def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets before which retention has removed everything."""
        wanted = [ClientPartition(*partition) for partition in partitions]
        try:
            found = self._client.beginning_offsets(wanted)
        except errors.KafkaError as error:
            raise broker_error(error, "reading the beginnings of partitions") from error
        return {TopicPartition(*at): int(offset) for at, offset in found.items()}

    def at_time(
        self, partitions: Iterable[TopicPartition], milliseconds: float
    ) -> dict[TopicPartition, int]:
        """Give the offsets of the first records not older than a time, where there are any."""
        asked = {ClientPartition(*partition): int(milliseconds) for partition in partitions}
        try:
            found = self._client.offsets_for_times(asked)
        except errors.KafkaError as error:
            raise broker_error(error, "looking for a time") from error
        return {TopicPartition(*at): one.offset for at, one in found.items() if one is not None}

    def position(self, partition: TopicPartition) -> int:
        """Give the offset read next."""
        try:
            return int(self._client.position(ClientPartition(*partition)))
        except errors.KafkaError as error:
            raise broker_error(error, f"reading the position of {partition}") from error

    def poll(self, timeout: float) -> Iterator[Record]:
        """Yield what is there, waiting at most `timeout` seconds for something."""
        try:
            polled: dict[Any, list[Record]] = self._client.poll(timeout_ms=int(timeout * 1000))
        except errors.KafkaError as error:
            raise broker_error(error, "reading") from error
        for records in polled.values():
            yield from records

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
