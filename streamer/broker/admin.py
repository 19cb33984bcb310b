"""Topics: are they there, can they be made, what do they take."""

from dataclasses import dataclass
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaConsumer, errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.structs import TopicPartition as ClientPartition

from streamer.broker.connection import client_settings
from streamer.broker.failures import broker_error
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError
from streamer.records import TopicPartition


@dataclass(frozen=True)
class TopicLimits:
    """What a topic takes, as far as it may be asked."""

    max_message_bytes: int | None = None


class Admin:
    """Describes and creates topics."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        try:
            self._client = KafkaAdminClient(**client_settings(kafka))
        except errors.KafkaError as error:
            raise broker_error(error, "connecting") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def partitions(self, topic: str) -> int | None:
        """Count a topic's partitions; None if it is not there.

        Raises:
            BrokerError: it may not be described.
        """
        try:
            found = self._client.describe_topics([topic])
        except errors.UnknownTopicOrPartitionError:
            return None
        except errors.KafkaError as error:
            raise broker_error(error, f"describing {topic}") from error
        for entry in found:
            if entry.get("error_code"):
                kind = errors.for_code(entry["error_code"])
                if kind is errors.UnknownTopicOrPartitionError:
                    return None
                raise broker_error(kind(), f"describing {topic}")
            return len(entry["partitions"]) or None
        return None

    def create(
        self,
        topic: str,
        partitions: int,
        configs: dict[str, str] | None = None,
        *,
        replication_factor: int = -1,
    ) -> None:
        """Create a topic with the cluster's default replication; one that is there is fine.

        Raises:
            BrokerError: the principal may not, or the cluster refuses.
        """
        wanted = NewTopic(topic, partitions, replication_factor, topic_configs=configs or {})
        try:
            self._client.create_topics([wanted], timeout_ms=15_000)
        except errors.TopicAlreadyExistsError:
            return
        except errors.KafkaError as error:
            raise broker_error(error, f"creating {topic}") from error

    def limits(self, topic: str) -> TopicLimits:
        """Ask what a topic takes; unknown where the principal may not ask."""
        try:
            found: Any = self._client.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all"
            )
            configs = found["topic"][topic]
            return TopicLimits(int(configs["max.message.bytes"]["value"]))
        except (errors.KafkaError, KeyError, TypeError, ValueError):
            return TopicLimits()

    def committed(self, group: str, topics: list[str]) -> dict[TopicPartition, int]:
        """Give the positions that a group has committed, settled ones only.

        Raises:
            BrokerError: retriable while a topic's partitions are not known, or a transaction is
                open on a position.
        """
        try:
            client = KafkaConsumer(
                **client_settings(self._kafka),
                group_id=group,
                enable_auto_commit=False,
                isolation_level="read_committed",
            )
        except errors.KafkaError as error:
            raise broker_error(error, "reading committed positions") from error
        try:
            found = {}
            for topic in topics:
                partitions = client.partitions_for_topic(topic)
                if not partitions:  # else what is committed would pass for what never was
                    message = f"the partitions of {topic} are not known"
                    raise BrokerError(message, retriable=True)
                for partition in sorted(partitions):
                    at = ClientPartition(topic, partition)
                    position = client.committed(at, timeout_ms=30_000)
                    if position is not None and position >= 0:
                        found[TopicPartition(topic, partition)] = int(position)
        except errors.KafkaError as error:
            raise broker_error(error, "reading committed positions") from error
        else:
            return found
        finally:
            client.close(autocommit=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def group_members(kafka: KafkaSettings, group: str) -> set[str]:
    """Ask who the members of a group are now.

    Raises:
        BrokerError: Kafka does not say.
    """
    try:
        client = KafkaAdminClient(**client_settings(kafka))
        try:
            found = client.describe_groups([group])
        finally:
            client.close()
    except errors.KafkaError as error:
        raise broker_error(error, "asking for the group's members") from error
    return {str(one["member_id"]) for one in found[group]["members"]}
