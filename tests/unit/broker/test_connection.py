import socket
import struct
from threading import Thread

import pytest

from streamer.broker import check_consumer_settings, check_producer_settings, wait_for_brokers
from streamer.broker.connection import client_settings, merged, unreachable_reason
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, ConfigError

HIDDEN = "pa55"


@pytest.fixture
def closed_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]  # bound, never listened on


@pytest.fixture
def open_port():
    """A listener that answers whatever it is asked with a correlation id and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                while connection.recv(4096):
                    connection.sendall(struct.pack(">ii", 4, 0))

        Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture
def closing_port():
    """A listener that closes each connection at the first word."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)

        Thread(target=close, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def at(address: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=address)


def test_fixed_settings_go_over_a_topologys_own_and_these_over_the_base():
    found = merged({"a": 1, "b": 1}, {"b": 2}, {"c": 3}, {"a", "b", "c"})
    assert found == {"a": 1, "b": 2, "c": 3}


def test_a_setting_that_delivery_depends_on_is_refused():
    with pytest.raises(ConfigError, match=r"kafka\.acks: is set by streamer itself"):
        merged({}, {"acks": 1}, {"acks": "all"}, {"acks"})


def test_a_setting_that_the_client_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"kafka\.ack: the Kafka client has no such setting"):
        merged({}, {"ack": 1}, {"acks": "all"}, {"acks"})


def test_several_servers_are_told_apart():
    assert client_settings(at("a:1, b:2"))["bootstrap_servers"] == ["a:1", "b:2"]


def test_secrets_reach_the_client_but_not_the_settings_text():
    kafka = KafkaSettings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="me",
        sasl_plain_password=HIDDEN,
    )
    assert client_settings(kafka)["sasl_plain_password"] == HIDDEN
    assert HIDDEN not in repr(kafka)


def test_a_closed_port_is_told_as_one(closed_port):
    assert "refused" in unreachable_reason(at(f"127.0.0.1:{closed_port}"))


def test_one_server_that_answers_is_enough(closed_port, open_port):
    servers = f"127.0.0.1:{closed_port},127.0.0.1:{open_port}"
    assert unreachable_reason(at(servers)) is None


def test_a_connection_closed_at_the_first_word_may_be_a_broker_that_stops(closing_port):
    plain = at(f"127.0.0.1:{closing_port}")
    assert "does this listener ask for TLS?" in unreachable_reason(plain)
    encrypted = KafkaSettings(bootstrap_servers=plain.bootstrap_servers, security_protocol="SSL")
    assert "has this listener TLS?" in unreachable_reason(encrypted)


@pytest.mark.parametrize(
    "address", ["localhost", "localhost:kafka", "localhost:0", "localhost:99999", ":"]
)
def test_what_is_no_address_is_told_as_such(address):
    assert "is not HOST:PORT" in unreachable_reason(at(address))


def test_an_ipv6_address_stands_in_brackets():
    reason = unreachable_reason(at("[::1]:1"))
    assert "HOST:PORT" not in reason
    assert "not known" not in reason.lower()  # the name was not looked up with its brackets


def test_waiting_ends_with_the_reason(closed_port):
    slept = []
    with pytest.raises(BrokerError, match="refused") as raised:
        wait_for_brokers(at(f"127.0.0.1:{closed_port}"), give_up_after=0.4, sleep=slept.append)
    assert raised.value.retriable
    assert slept == []


def test_waiting_ends_when_told_to_stop(closed_port):
    slept = []
    wait_for_brokers(
        at(f"127.0.0.1:{closed_port}"),
        give_up_after=None,
        stopping=lambda: len(slept) == 6,
        sleep=slept.append,
    )
    assert slept == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_wrong_address_is_no_matter_of_waiting():
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap_servers: localhost is not HOST:PORT"):
        wait_for_brokers(at("localhost"), give_up_after=None)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"batch_size": "64KiB"}, "batch_size: expected a number; got '64KiB'"),
        ({"compression_type": "foo"}, "expected one of gzip, snappy, lz4, zstd; got 'foo'"),
        ({"linger_ms": True}, "linger_ms: expected a number; got True"),
        ({"allow_auto_create_topics": "no"}, "topics: expected true or false; got 'no'"),
    ],
)
def test_a_value_that_the_client_cannot_work_with_is_refused(setting, told):
    with pytest.raises(ConfigError, match=told):
        check_producer_settings(setting, "f: sink.kafka")


def test_a_topologys_own_client_settings_are_checked_without_a_connection():
    check_consumer_settings({"fetch_max_bytes": 1}, "f: source.kafka")
    check_producer_settings({"linger_ms": 1}, "f: sink.kafka")
    with pytest.raises(ConfigError, match=r"f: source\.kafka\.group_id: is set by streamer itself"):
        check_consumer_settings({"group_id": "g"}, "f: source.kafka")
    with pytest.raises(ConfigError, match=r"f: sink\.kafka\.ack: the Kafka client has no such"):
        check_producer_settings({"ack": 1}, "f: sink.kafka")
