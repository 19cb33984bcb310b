"""A member of a consumer group over librdkafka, for one thread."""

from collections.abc import Iterable, Mapping
from threading import Thread
from typing import Any

import structlog
from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata

from streamer.broker.admin import group_members
from streamer.broker.joins import Ownership
from streamer.broker.librdkafka.commits import Commits, Done
from streamer.broker.librdkafka.faults import error_of, fault
from streamer.broker.librdkafka.membership import membership_of
from streamer.broker.librdkafka.reading import Reading
from streamer.broker.librdkafka.rebalances import Rebalances
from streamer.broker.librdkafka.settings import client_settings, refused, renamed
from streamer.broker.offsets import Note, no_note
from streamer.config.settings import KafkaSettings
from streamer.records import Record, TopicPartition

_ANSWER_S = 30.0
_CLOSE_S = 8.0
_FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",  # settled positions are asked for with it
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.partition.eof": True,  # it tells where the position is behind aborted records
    "allow.auto.create.topics": False,
}
_log = structlog.get_logger("consume")


class Consumer:
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
        self._kafka = kafka
        self._group = group
        settings = {**_base(kafka, group), **renamed(client), **_FIXED}
        settings |= {"error_cb": self._failed, "on_commit": self._committed}
        try:
            self._client = Client(settings)
        except (KafkaException, TypeError, ValueError) as error:
            raise refused(error, client, "source.kafka") from error
        self._commits = Commits(self._client)
        self._reading = Reading(self._client, max_poll_records)
        self._rebalances = Rebalances(
            group,
            ownership,
            self._reading,
            self._commits,
            static=kafka.group_instance_id is not None,
            patience=revoke_timeout,
        )
        try:
            self._client.subscribe(
                list(topics),
                on_assign=self._rebalances.assigned,
                on_revoke=self._rebalances.revoked,
                on_lost=self._rebalances.lost,
            )
        except KafkaException as error:
            raise fault(error_of(error), "opening the consumer") from error

    def _failed(self, error: KafkaError) -> None:
        self._reading.failed(error)

    def _committed(self, error: KafkaError | None, offsets: list[ClientPartition]) -> None:
        self._commits.told(error, offsets)

    # reading

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Read what is there, waiting at most `timeout` seconds for something.

        Raises:
            OutOfRangeError: retention has passed a position.
            BrokerError: Kafka refuses.
        """
        if self._reading.troubles:
            raise self._reading.troubles.popleft()
        try:
            return self._reading.poll(timeout)
        except KafkaException as error:
            raise fault(error_of(error), "reading") from error

    def position(self, partition: TopicPartition) -> int | None:
        """Give the offset read next; None while it is not known or the partition is gone."""
        return self._reading.positions.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Read on from an offset; False if the partition is no longer ours."""
        return self._reading.seek(partition, offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions while polls go on."""
        self._reading.pause(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again."""
        self._reading.resume(partitions)

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offsets that are still there."""
        return {partition: self._range(partition)[0] for partition in partitions}

    def end(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets behind the last record."""
        return {partition: self._range(partition)[1] for partition in partitions}

    def _range(self, partition: TopicPartition) -> tuple[int, int]:
        try:
            return self._client.get_watermark_offsets(ClientPartition(*partition), _ANSWER_S)
        except KafkaException as error:
            raise fault(error_of(error), "reading offsets") from error

    def highwater(self, partition: TopicPartition) -> int | None:
        """Give the end of the partition as the last fetch saw it."""
        try:
            _, end = self._client.get_watermark_offsets(ClientPartition(*partition), cached=True)
        except KafkaException:
            return None
        return None if end < 0 else end

    # positions

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the group's committed position and the note beside it.

        Raises:
            BrokerError: retriable while a transaction is open on the position.
        """
        return self._commits.committed(partition)

    def commit(self, positions: Mapping[TopicPartition, int], note: Note = no_note) -> None:
        """Commit, each position with its note, and wait.

        Raises:
            BrokerError: retriable while the group rebalances.
        """
        self._commits.commit(positions, note)

    def commit_soon(self, positions: Mapping[TopicPartition, int], note: Note, done: Done) -> None:
        """Commit without waiting; `done` is called by a later poll or commit."""
        self._commits.commit_soon(positions, note, done)

    # membership

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions that are ours."""
        return set(self._reading.owned)

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Give all partitions of a topic."""
        try:
            found = self._client.list_topics(topic, _ANSWER_S).topics.get(topic)
        except KafkaException as error:
            raise fault(error_of(error), f"reading the partitions of {topic}") from error
        numbers = found.partitions if found is not None else {}
        return [TopicPartition(topic, number) for number in sorted(numbers)]

    def group_metadata(self) -> ConsumerGroupMetadata:
        """Give the membership as the client knows it this moment, in the middle of a join too.

        Only for the thread that polls: the client keeps Python's lock while it asks itself.
        """
        return membership_of(self._client, self._group)

    @property
    def member_id(self) -> str:
        """The name that the group knows this member by; empty while it is none."""
        return self._client.memberid() or ""

    def members(self) -> set[str]:
        """Ask who the group's members are now.

        Raises:
            BrokerError: Kafka does not say.
        """
        return group_members(self._kafka, self._group)

    @property
    def joined(self) -> bool:
        """Whether the member is in the group (its assignment may be empty)."""
        return self._rebalances.joined

    def close(self) -> None:
        """Leave the group (a static member stays in it)."""
        self._reading.close()
        closing = Thread(target=self._client.close, name="leave", daemon=True)
        closing.start()  # it has no time limit of its own
        closing.join(_CLOSE_S)
        if closing.is_alive():
            _log.warning("the group could not be left in time", seconds=_CLOSE_S)


def _base(kafka: KafkaSettings, group: str) -> dict[str, Any]:
    """Give what a topology may set otherwise, and the group."""
    settings = {
        **client_settings(kafka),
        "fetch.max.bytes": 4 * 2**20,
        "max.partition.fetch.bytes": 2**20,
        "fetch.wait.max.ms": 250,
        "fetch.queue.backoff.ms": 10,  # its own second would be longer than a wave takes
        "queued.max.messages.kbytes": 16 * 2**10,
        "session.timeout.ms": int(kafka.session_timeout * 1000),
        "heartbeat.interval.ms": int(kafka.heartbeat_interval * 1000),
        "max.poll.interval.ms": int(kafka.max_poll_interval * 1000),
        "group.id": group,
    }
    if kafka.group_instance_id is not None:
        settings["group.instance.id"] = kafka.group_instance_id
    return settings
