"""The topics a topology needs: waited for, made, or missed with a clear word."""

import time
from collections.abc import Callable

import structlog

from streamer.broker import Admin
from streamer.config import Settings, Topology
from streamer.errors import BrokerError, ConfigError

_ASK_EVERY_S = 2.0


def prepare_topics(
    topology: Topology,
    settings: Settings,
    *,
    stopping: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait for the topics that are read, create those that are written if they are missing.

    Raises:
        ConfigError: an output topic is missing and may not be created.
        BrokerError: Kafka does not let us ask.
    """
    log = structlog.get_logger("topics").bind(topology=topology.name)
    with Admin(settings.kafka) as admin:
        partitions = 1
        for topic in topology.source.topics:
            count = admin.partitions(topic)
            while count is None and not stopping():
                log.warning("the source topic does not exist yet; waiting for it", topic=topic)
                sleep(_ASK_EVERY_S)
                count = admin.partitions(topic)
            partitions = max(partitions, count or 1)
        if stopping():
            return
        for topic in (topology.sink.topic, topology.deadletter_topic):
            if admin.partitions(topic) is None:
                _create(admin, topic, partitions, settings)
                log.info("created", topic=topic, partitions=partitions)


def prepare_aside(topic: str, topology: Topology, settings: Settings) -> None:
    """Create a topic beside the sink's, with as many partitions, if it is missing.

    Raises:
        ConfigError: it is missing and may not be created.
        BrokerError: Kafka does not let us ask.
    """
    with Admin(settings.kafka) as admin:
        if admin.partitions(topic) is None:
            _create(admin, topic, admin.partitions(topology.sink.topic) or 1, settings)


def _create(admin: Admin, topic: str, partitions: int, settings: Settings) -> None:
    command = f"kafka-topics.sh --create --topic {topic} --partitions {partitions}"
    advice = f"create it, for instance: {command}"
    if not settings.kafka.create_topics:
        message = (
            f"the topic '{topic}' does not exist (STREAMER_KAFKA__CREATE_TOPICS is off); {advice}"
        )
        raise ConfigError(message)
    try:
        admin.create(topic, partitions)
    except BrokerError as error:
        message = f"the topic '{topic}' does not exist and could not be created ({error}); {advice}"
        raise ConfigError(message) from error


def topic_findings(topology: Topology, settings: Settings) -> list[str]:
    """Look at the topics without changing anything: `check --connect`."""
    found = []
    with Admin(settings.kafka) as admin:
        widest = 0
        for topic in topology.source.topics:
            count = admin.partitions(topic)
            widest = max(widest, admin.limits(topic).max_message_bytes or 0)
            there = (
                f"{count} partitions" if count else "does not exist: the daemon would wait for it"
            )
            found.append(f"source topic {topic}: {there}")
        for what, topic in (
            ("sink", topology.sink.topic),
            ("deadletter", topology.deadletter_topic),
        ):
            count = admin.partitions(topic)
            made = "would be created" if settings.kafka.create_topics else "does not exist"
            found.append(f"{what} topic {topic}: {f'{count} partitions' if count else made}")
            limit = admin.limits(topic).max_message_bytes
            if what == "deadletter" and limit is not None and limit <= widest:
                found.append(
                    f"warning: {topic} takes {limit} bytes (max.message.bytes), the source up to "
                    f"{widest}: the largest dead letters would go without their value"
                )
    return found
