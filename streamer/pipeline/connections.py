"""What a line needs of Kafka; `streamer.testing` has another Kafka to offer."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from streamer.broker import Admin, Member, Writer, open_member, open_writer
from streamer.broker.joins import Ownership
from streamer.config import Settings, Topology
from streamer.records import TopicPartition


class Connections(Protocol):
    """Opens what a line reads and writes with."""

    def consumer(self, topology: Topology, ownership: Ownership) -> Member:
        """Open a member of the topology's group."""
        ...

    def producer(self, topology: Topology, transactional_id: str | None) -> Writer:
        """Open a producer, transactional if it has an id."""
        ...

    def limits(self, topics: Iterable[str]) -> dict[str, int]:
        """Give the bytes that a record may have, of the topics where that is known."""
        ...

    def committed(self, group: str, topics: Iterable[str]) -> Mapping[TopicPartition, int]:
        """Give a group's settled positions."""
        ...


class KafkaConnections:
    """Connections to the brokers that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._revoke_timeout = settings.line.revoke_timeout

    def consumer(self, topology: Topology, ownership: Ownership) -> Member:
        """Open a member of the topology's group."""
        return open_member(
            self._kafka,
            topology.group,
            topology.source.topics,
            ownership,
            topology.source.kafka,
            max_poll_records=topology.wave.max_records,
            revoke_timeout=self._revoke_timeout,
        )

    def producer(self, topology: Topology, transactional_id: str | None) -> Writer:
        """Open a producer, transactional if it has an id."""
        return open_writer(self._kafka, topology.sink.kafka, transactional_id=transactional_id)

    def limits(self, topics: Iterable[str]) -> dict[str, int]:
        """Give the bytes that a record may have, of the topics where that is known."""
        with Admin(self._kafka) as admin:
            found = {topic: admin.limits(topic).max_message_bytes for topic in topics}
        return {topic: limit for topic, limit in found.items() if limit is not None}

    def committed(self, group: str, topics: Iterable[str]) -> Mapping[TopicPartition, int]:
        """Give a group's settled positions."""
        with Admin(self._kafka) as admin:
            return admin.committed(group, sorted(topics))
