"""The two topics: made if they are missing, read to their ends."""

import time
from collections.abc import Iterator
from time import monotonic

from streamer.broker import Admin, Reader
from streamer.config import Settings
from streamer.errors import BrokerError, ConfigError
from streamer.records import Record, TopicPartition

_POLL_S = 0.2
_READ_WITHIN_S = 60.0
_KNOWN_WITHIN_S = 10.0
_YEAR_MS = str(365 * 24 * 3600 * 1000)
_COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "86400000",
}
_EVENTS = {
    # A daemon's reports have its key and follow each other; all other events have keys of their own
    # and stay: the history.
    "cleanup.policy": "compact,delete",
    "retention.ms": _YEAR_MS,
    "segment.ms": "3600000",
    "message.timestamp.type": "LogAppendTime",
}


def create_topics(settings: Settings) -> None:
    """Create the topics that are missing.

    Raises:
        ConfigError: one is missing and may not be created.
        BrokerError: Kafka does not let us ask.
    """
    names = settings.deployments
    with Admin(settings.kafka) as admin:
        for topic, configs in ((names.topic, _COMPACTED), (names.events_topic, _EVENTS)):
            if admin.partitions(topic) is not None:
                continue
            policy = configs["cleanup.policy"]
            advice = (
                f"create it, for instance: kafka-topics.sh --create --topic {topic} "
                f"--partitions 1 --config cleanup.policy={policy}"
            )
            if not settings.kafka.create_topics:
                raise ConfigError(
                    f"the topic '{topic}' does not exist (STREAMER_KAFKA__CREATE_TOPICS is off); "
                    f"{advice}"
                )
            try:
                admin.create(topic, 1, configs)
            except BrokerError as error:
                if error.retriable:
                    raise
                raise ConfigError(
                    f"the topic '{topic}' does not exist and could not be created ({error}); "
                    f"{advice}"
                ) from error


def there(settings: Settings) -> bool:
    """Whether both topics are there: else nothing was ever deployed.

    Raises:
        BrokerError: Kafka does not let us ask.
    """
    names = settings.deployments
    with Admin(settings.kafka) as admin:
        topics = (names.topic, names.events_topic)
        return all(admin.partitions(topic) is not None for topic in topics)


class Tail:
    """Reads one of the topics from its beginning, and on.

    Only what is committed is seen: an open transaction holds back what lies behind it until it is
    ended, at the latest by the transaction timeout.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._at = TopicPartition(topic, 0)
        self._reader = Reader(settings.kafka)
        try:
            self._await_topic()
            self._reader.assign([self._at])
        except BrokerError:
            self._reader.close()
            raise

    def _await_topic(self) -> None:
        """Wait until the brokers all know a topic that was made just now."""
        deadline = monotonic() + _KNOWN_WITHIN_S
        while True:
            try:
                self._reader.partitions(self._at.topic)
            except BrokerError:
                if monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def to_end(self) -> Iterator[Record]:
        """Yield what is there, up to the end as of now.

        The position must reach it, not a record: the last offset may be a commit's marker.

        Raises:
            BrokerError: the end is not reached in time.
        """
        deadline = monotonic() + _READ_WITHIN_S
        end = self._reader.ends([self._at])[self._at]
        while self._reader.position(self._at) < end:
            yield from self._reader.poll(_POLL_S)
            if monotonic() > deadline:
                message = f"reading {self._at.topic}: its end was not reached"
                raise BrokerError(message, retriable=True)

    def more(self, timeout: float) -> Iterator[Record]:
        """Yield what comes, waiting at most `timeout` seconds for something."""
        return self._reader.poll(timeout)

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
