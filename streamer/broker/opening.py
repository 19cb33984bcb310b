"""Which client reads and writes records: the one place where the setting is asked."""

from collections.abc import Iterable, Mapping
from typing import Any

from streamer.broker.consumer import GroupConsumer
from streamer.broker.joins import Ownership
from streamer.broker.ports import Member, Writer
from streamer.broker.producer import Producer
from streamer.config.settings import KafkaSettings
from streamer.errors import ConfigError


def check_client(kafka: KafkaSettings) -> None:
    """Check that the chosen client is installed, before anything is connected.

    Raises:
        ConfigError: it is not.
    """
    _librdkafka(kafka)


def open_member(  # noqa: PLR0913 - the parts of one connection
    kafka: KafkaSettings,
    group: str,
    topics: Iterable[str],
    ownership: Ownership,
    client: Mapping[str, Any],
    *,
    max_poll_records: int,
    revoke_timeout: float,
) -> Member:
    """Open a member of a group, by the client of the settings."""
    package = _librdkafka(kafka)
    kind = GroupConsumer if package is None else package.Consumer
    opened: Member = kind(
        kafka,
        group,
        topics,
        ownership,
        client,
        max_poll_records=max_poll_records,
        revoke_timeout=revoke_timeout,
    )
    return opened


def open_writer(
    kafka: KafkaSettings,
    client: Mapping[str, Any] | None = None,
    *,
    transactional_id: str | None = None,
) -> Writer:
    """Open a producer, by the client of the settings; transactional if it has an id."""
    package = _librdkafka(kafka)
    kind = Producer if package is None else package.Producer
    opened: Writer = kind(kafka, client, transactional_id=transactional_id)
    return opened


def _librdkafka(kafka: KafkaSettings) -> Any:
    """Give the room's half over librdkafka, where the settings ask for it.

    Raises:
        ConfigError: its package is not installed.
    """
    if kafka.client != "librdkafka":
        return None
    try:
        from streamer.broker import librdkafka
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        message = "kafka.client: librdkafka is not installed; pip install 'streamer[librdkafka]'"
        raise ConfigError(message) from error
    return librdkafka
