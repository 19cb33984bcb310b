"""A member of a consumer group, for one thread."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kafka import KafkaConsumer, errors
from kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata

from streamer.broker.admin import group_members
from streamer.broker.connection import check_kinds, check_names, client_settings, merged
from streamer.broker.failures import broker_error
from streamer.broker.fetched import read_into_ours, unpark, wake_for_records
from streamer.broker.joins import JOIN_S, Assignor, Joins, Ownership, RevocationListener
from streamer.broker.offsets import Note, no_note, offsets_of
from streamer.broker.ports import MissingPositionsError, OutOfRangeError
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError
from streamer.records import Record, TopicPartition

_POSITIONS_MS = 2000
"""An open transaction on a position is waited for by asking again, with polls between."""
_JOIN_SLACK_S = 5.0
_FETCH_BYTES = 4 * 2**20
"""Ten pictures: by megabytes, client and broker take half as long again for each of them."""
_FIXED: dict[str, Any] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",  # the client asks for settled positions with it
    "key_deserializer": None,
    "value_deserializer": None,
    "max_poll_records": None,
}
"""What delivery depends on; the group and the most records of a poll are a topology's."""


def check_consumer_settings(given: Mapping[str, Any], where: str) -> None:
    """Check a topology's own settings of the consumer, before anything is connected.

    Raises:
        ConfigError: naming the setting and its place.
    """
    check_names(given, _FIXED, set(KafkaConsumer.DEFAULT_CONFIG), where)
    check_kinds(given, KafkaConsumer.DEFAULT_CONFIG, where)


class GroupConsumer:
    """Reads topics as a member of a group; never commits or resets a position by itself."""

    def __init__(  # noqa: PLR0913 - the parts of one connection
        self,
        kafka: KafkaSettings,
        group: str,
        topics: Iterable[str],
        ownership: Ownership,
        client: Mapping[str, Any],
        *,
        max_poll_records: int,
        revoke_timeout: float,
    ) -> None:
        base = {
            **client_settings(kafka),
            "metrics_enabled": False,
            "fetch_max_bytes": 2 * _FETCH_BYTES,
            "max_partition_fetch_bytes": _FETCH_BYTES,
            "fetch_max_wait_ms": 250,
            "session_timeout_ms": int(kafka.session_timeout * 1000),
            "heartbeat_interval_ms": int(kafka.heartbeat_interval * 1000),
            "max_poll_interval_ms": int(kafka.max_poll_interval * 1000),
            "partition_assignment_strategy": (Assignor,),
            "group_instance_id": kafka.group_instance_id,
            "allow_auto_create_topics": False,
            "metadata_max_age_ms": 30_000,
        }
        fixed = {**_FIXED, "group_id": group, "max_poll_records": max_poll_records}
        settings = merged(base, client, fixed, set(KafkaConsumer.DEFAULT_CONFIG))
        self._group = group
        self._kafka = kafka
        try:
            self._client = KafkaConsumer(**settings)
            read_into_ours(self._client)
            wake_for_records(self._client._fetcher)  # noqa: SLF001 - it has no public word for it
            patience = kafka.session_timeout + kafka.heartbeat_interval + _JOIN_SLACK_S
            self._joins = Joins(self._client, ownership, patience)
            listener = RevocationListener(self._client, ownership, self._joins, revoke_timeout)
            self._client.subscribe(topics=list(topics), listener=listener)
        except errors.KafkaError as error:
            raise broker_error(error, "opening the consumer") from error

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Read what is there, waiting at most `timeout` seconds for something.

        Raises:
            MissingPositionsError: partitions were assigned that have no committed position.
            OutOfRangeError: retention has passed a position.
            BrokerError: Kafka refuses.
        """
        if self._joins.under_way():
            timeout = max(timeout, JOIN_S)
        unpark(self._client._fetcher)  # noqa: SLF001 - it has no public word for it
        try:
            polled = self._client.poll(timeout_ms=int(timeout * 1000))
        except errors.NoOffsetForPartitionError as error:
            raise MissingPositionsError(str(error)) from error
        except errors.OffsetOutOfRangeError as error:
            positions = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
            raise OutOfRangeError(
                {TopicPartition(*at): _offset(found) for at, found in positions.items()}
            ) from error
        except errors.KafkaError as error:
            raise broker_error(error, "reading") from error
        finally:
            self._joins.notice()
        return {TopicPartition(*partition): records for partition, records in polled.items()}

    def position(self, partition: TopicPartition) -> int | None:
        """Give the offset read next; None while it is not known or the partition is gone."""
        try:
            # at once: else one partition that has no leader is waited for with each of the others
            found = self._client.position(ClientPartition(*partition), 0)
        except (errors.IllegalStateError, errors.NoOffsetForPartitionError):
            return None
        except errors.KafkaError as error:
            raise broker_error(error, "reading a position") from error
        return None if found is None else int(found)

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the group's committed position and the note beside it.

        librdkafka adds a zero byte to notes: another replica may use it.

        Raises:
            BrokerError: retriable while a transaction is open on the position.
        """
        where = ClientPartition(*partition)
        # an answer that came too late is kept for whoever asks next
        late = self._client._coordinator._offset_fetch_futures  # noqa: SLF001
        late.pop(frozenset([where]), None)
        try:
            found = self._client.committed(where, metadata=True, timeout_ms=_POSITIONS_MS)
        except errors.KafkaError as error:
            raise broker_error(error, "reading committed positions") from error
        if found is None or found.offset < 0:
            return None
        return int(found.offset), (found.metadata or "").removesuffix("\0")

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Read on from an offset; False if the partition is no longer ours."""
        try:
            self._client.seek(ClientPartition(*partition), offset)
        except (errors.IllegalStateError, ValueError, AssertionError, KeyError):
            return False
        return True

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions that are ours."""
        return {TopicPartition(*partition) for partition in self._client.assignment()}

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Give all partitions of a topic."""
        found = self._client.partitions_for_topic(topic) or ()
        return [TopicPartition(topic, partition) for partition in sorted(found)]

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offsets that are still there."""
        return self._offsets(self._client.beginning_offsets, partitions)

    def end(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets behind the last record."""
        return self._offsets(self._client.end_offsets, partitions)

    def _offsets(
        self, ask: Callable[..., Any], partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        try:
            found = ask([ClientPartition(*partition) for partition in partitions])
        except errors.KafkaError as error:
            raise broker_error(error, "reading offsets") from error
        return {TopicPartition(*at): int(offset) for at, offset in found.items()}

    def highwater(self, partition: TopicPartition) -> int | None:
        """Give the end of the partition as the last fetch saw it."""
        try:
            found = self._client.highwater(ClientPartition(*partition))
        except errors.IllegalStateError:
            return None
        return None if found is None else int(found)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions while polls go on."""
        mine = self._client.assignment()
        chosen = [p for p in map(_client_partition, partitions) if p in mine]
        if chosen:
            self._client.pause(*chosen)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again."""
        mine = self._client.assignment()
        chosen = [p for p in map(_client_partition, partitions) if p in mine]
        if chosen:
            self._client.resume(*chosen)

    def commit(self, positions: Mapping[TopicPartition, int], note: Note = no_note) -> None:
        """Commit, each position with its note, and wait.

        Raises:
            BrokerError: retriable while the group rebalances.
        """
        try:
            self._client.commit(offsets_of(positions, note), timeout_ms=10_000)
        except (errors.CommitFailedError, errors.RebalanceInProgressError) as error:
            message = f"committing: {type(error).__name__}"
            raise BrokerError(message, retriable=True) from error
        except errors.KafkaError as error:
            raise broker_error(error, "committing") from error

    def commit_soon(
        self,
        positions: Mapping[TopicPartition, int],
        note: Note,
        done: Callable[[Exception | None], None],
    ) -> None:
        """Commit without waiting; `done` is called by a later poll or commit."""

        def finished(_offsets: Any, result: Any) -> None:
            done(result if isinstance(result, Exception) else None)

        try:
            self._client.commit_async(offsets_of(positions, note), callback=finished)
        except errors.KafkaError as error:
            raise broker_error(error, "committing") from error

    def group_metadata(self) -> ConsumerGroupMetadata:
        """Give the membership as the client knows it this moment, in the middle of a join too."""
        return self._client.group_metadata()

    @property
    def member_id(self) -> str:
        """The name that the group knows this member by; empty while it is none."""
        return str(self._client.group_metadata().member_id)

    def members(self) -> set[str]:
        """Ask who the group's members are now.

        Raises:
            BrokerError: Kafka does not say.
        """
        return group_members(self._kafka, self._group)

    @property
    def joined(self) -> bool:
        """Whether the member is in the group (its assignment may be empty)."""
        membership = self._client.group_metadata()
        return bool(membership.member_id) and membership.generation_id >= 0

    def close(self) -> None:
        """Leave the group (a static member stays in it)."""
        self._client.close(autocommit=False, timeout_ms=5000)


def _offset(found: Any) -> int:
    """Read an offset that the client gives bare or with its metadata."""
    return int(found.offset if hasattr(found, "offset") else found)


def _client_partition(partition: TopicPartition) -> ClientPartition:
    return ClientPartition(*partition)
