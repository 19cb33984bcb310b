"""How librdkafka is told what kafka-python is told, and in which words."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException

from streamer.broker.oauth import token_provider
from streamer.config.settings import KafkaSettings
from streamer.errors import ConfigError

LOG = logging.getLogger("kafka.librdkafka")
_TOKEN_FOR_S = 30.0
"""A token is asked for again after at most this long: providers keep those that are still good."""
_OTHER_NAMES = {
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "max_request_size": "message.max.bytes",
    "max_in_flight_requests_per_connection": "max.in.flight.requests.per.connection",
    "send_buffer_bytes": "socket.send.buffer.bytes",
    "receive_buffer_bytes": "socket.receive.buffer.bytes",
    "metadata_max_age_ms": "topic.metadata.refresh.interval.ms",
    "request_timeout_ms": "socket.timeout.ms",
}


def client_settings(kafka: KafkaSettings) -> dict[str, Any]:
    """Give the settings that consumer and producer share."""
    settings: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": "streamer",
        "security.protocol": kafka.security_protocol,
        "socket.timeout.ms": int(kafka.request_timeout * 1000),
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "logger": LOG,
    }
    if kafka.security_protocol.endswith("SSL"):
        settings |= _encryption(kafka)
    if kafka.security_protocol.startswith("SASL"):
        settings |= _proof(kafka)
    return settings


def _encryption(kafka: KafkaSettings) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "ssl.endpoint.identification.algorithm": "https" if kafka.ssl_check_hostname else "none"
    }
    files = {
        "ssl.ca.location": kafka.ssl_cafile,
        "ssl.certificate.location": kafka.ssl_certfile,
        "ssl.key.location": kafka.ssl_keyfile or kafka.ssl_certfile,
    }
    settings |= {name: str(path) for name, path in files.items() if path is not None}
    if kafka.ssl_password is not None:
        settings["ssl.key.password"] = kafka.ssl_password.get_secret_value()
    return settings


def _proof(kafka: KafkaSettings) -> dict[str, Any]:
    settings: dict[str, Any] = {"sasl.mechanism": kafka.sasl_mechanism}
    if kafka.sasl_mechanism == "OAUTHBEARER":
        provider = token_provider(kafka)

        def token(_config: str) -> tuple[str, float]:
            return provider.token(), time.time() + _TOKEN_FOR_S

        settings["oauth_cb"] = token
        return settings
    settings["sasl.username"] = kafka.sasl_plain_username
    if kafka.sasl_plain_password is not None:
        settings["sasl.password"] = kafka.sasl_plain_password.get_secret_value()
    return settings


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Put a topology's settings, named as kafka-python names them, into librdkafka's words."""
    return {_OTHER_NAMES.get(name, name.replace("_", ".")): value for name, value in given.items()}


def refused(
    error: KafkaException | TypeError | ValueError, given: Mapping[str, Any], where: str
) -> ConfigError:
    """Say which of a topology's settings librdkafka does not take."""
    told = error.args[0].str() if isinstance(error, KafkaException) else str(error)
    for name, other in zip(given, renamed(given), strict=True):
        if other in told:
            return ConfigError(f"{where}.{name}: librdkafka does not take it: {told}")
    return ConfigError(f"{where}: librdkafka does not take its settings: {told}")
