"""How clients reach the brokers, and the plain reason when they do not."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from streamer.broker.closing import NetClient
from streamer.broker.doorway import RefusedError, enter
from streamer.broker.oauth import token_provider
from streamer.broker.sockets import DIRECT
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, ConfigError

_LAST_PORT = 65535
_BOOTSTRAP_TIMEOUT_MS = 10_000


def client_settings(kafka: KafkaSettings) -> dict[str, Any]:
    """Give the settings that every client takes, named as kafka-python names them."""
    settings: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "client_id": "streamer",
        "kafka_client": NetClient,
        "proxy_url": DIRECT,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": int(kafka.request_timeout * 1000),
        "bootstrap_timeout_ms": _BOOTSTRAP_TIMEOUT_MS,
        "reconnect_backoff_max_ms": 1000,
    }
    settings |= _proof(kafka)
    if kafka.security_protocol.endswith("SSL"):
        settings["ssl_check_hostname"] = kafka.ssl_check_hostname
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path = getattr(kafka, name)
            if path is not None:
                settings[name] = str(path)
        if kafka.ssl_password is not None:
            settings["ssl_password"] = kafka.ssl_password.get_secret_value()
    return settings


def _proof(kafka: KafkaSettings) -> dict[str, Any]:
    if not kafka.security_protocol.startswith("SASL"):
        return {}
    settings: dict[str, Any] = {"sasl_mechanism": kafka.sasl_mechanism}
    if kafka.sasl_mechanism == "OAUTHBEARER":
        settings["sasl_oauth_token_provider"] = token_provider(kafka)
        return settings
    settings["sasl_plain_username"] = kafka.sasl_plain_username
    if kafka.sasl_plain_password is not None:
        settings["sasl_plain_password"] = kafka.sasl_plain_password.get_secret_value()
    return settings


def merged(
    base: Mapping[str, Any], extra: Mapping[str, Any], fixed: Mapping[str, Any], known: set[str]
) -> dict[str, Any]:
    """Put a topology's own client settings over the base, and the fixed ones over both.

    Raises:
        ConfigError: a setting is unknown to the client, or fixed by the delivery guarantee.
    """
    check_names(extra, fixed, known, "kafka")
    return {**base, **extra, **fixed}


def check_names(
    extra: Iterable[str], fixed: Collection[str], known: Collection[str], where: str
) -> None:
    """Check the names of client settings that a topology gives at a place of its file.

    Raises:
        ConfigError: a setting is unknown to the client, or fixed by the delivery guarantee.
    """
    for name in extra:
        if name in fixed:
            message = f"{where}.{name}: is set by streamer itself, since delivery depends on it"
            raise ConfigError(message)
        if name not in known:
            message = f"{where}.{name}: the Kafka client has no such setting"
            raise ConfigError(message)


def check_kinds(given: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
    """Check that numbers are numbers: a client finds that out record by record.

    Args:
        given: settings of a topology, whose names are checked.
        own: the client's defaults.
        where: place in the topology's file.

    Raises:
        ConfigError: a setting is of another kind than the client's default.
    """
    for name, value in given.items():
        switch = isinstance(own[name], bool)
        number = isinstance(own[name], int | float) and not switch
        if switch and not isinstance(value, bool):
            raise ConfigError(f"{where}.{name}: expected true or false; got {value!r}")
        if number and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ConfigError(f"{where}.{name}: expected a number; got {value!r}")


def unreachable_reason(kafka: KafkaSettings) -> str | None:
    """Say why no bootstrap server lets us in; None if one does.

    Raises:
        BrokerError: one answers, and refuses these settings for good.
    """
    reasons, refusals = [], []
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
            reasons.append(f"{server.strip()} is not HOST:PORT")
            continue
        try:
            enter(kafka, host.strip("[]"), int(port), _proof(kafka))
        except ValueError:  # a host's name that is none: empty or endless labels
            reasons.append(f"{server.strip()} is not HOST:PORT")
        except RefusedError as error:
            refusals.append(f"{server.strip()}: {error}")
        except BrokerError as error:  # no token to show
            reasons.append(str(error))
        except OSError as error:
            reasons.append(f"{server.strip()}: {error.strerror or error}")
        else:
            return None
    if refusals:
        raise BrokerError(f"Kafka refuses: {'; '.join(refusals)}", retriable=False)
    return "; ".join(dict.fromkeys(reasons))


def wait_for_brokers(
    kafka: KafkaSettings,
    *,
    give_up_after: float | None,
    stopping: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a bootstrap server accepts connections, saying every few seconds why not.

    Args:
        kafka: where the brokers are.
        give_up_after: seconds to wait; None to wait for ever.
        stopping: asked between attempts; true ends the wait.
        sleep: passed in by tests.

    Raises:
        BrokerError: none answered in time, or one refuses us for good.
        ConfigError: the address is no address.
    """
    log = logging.getLogger(__name__)
    began = time.monotonic()
    delay = 0.5
    while not stopping():
        reason = unreachable_reason(kafka)
        if reason is None:
            return
        if "is not HOST:PORT" in reason:
            message = f"kafka.bootstrap_servers: {reason}"
            raise ConfigError(message)
        waited = time.monotonic() - began
        if give_up_after is not None and waited + delay > give_up_after:
            message = f"Kafka is not reachable: {reason} (STREAMER_KAFKA__BOOTSTRAP_SERVERS)"
            raise BrokerError(message, retriable=True)
        log.warning("Kafka is not reachable: %s; trying again in %.1f s", reason, delay)
        sleep(delay)
        delay = min(delay * 2, 5.0)
