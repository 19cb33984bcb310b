import socket

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient

from streamer.embedded import EmbeddedKafka
from streamer.errors import BrokerError, ConfigError

_SMALL_HEAP = 256


def sent(brokers: str, topic: str, value: bytes) -> None:
    with KafkaProducer(bootstrap_servers=brokers) as producer:
        producer.send(topic, value).get(timeout=10)


def first_value(brokers: str, topic: str) -> bytes:
    with KafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    ) as consumer:
        value: bytes = next(iter(consumer)).value
        return value


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def test_a_fresh_topic_takes_and_gives_records(broker, topic):
    name = topic(partitions=2)
    sent(broker, name, b"a record")
    assert first_value(broker, name) == b"a record"


def test_records_outlive_a_restart_in_the_same_folder(tmp_path):
    with EmbeddedKafka(port=0, data_dir=tmp_path, heap_mb=_SMALL_HEAP) as kafka:
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        admin.create_topics({"kept": {"num_partitions": 1}}, wait_for_metadata=True)
        admin.close()
        sent(kafka.bootstrap_servers, "kept", b"still here")
    assert not listens(kafka.bootstrap_servers)
    with EmbeddedKafka(port=0, data_dir=tmp_path, heap_mb=_SMALL_HEAP) as kafka:
        assert first_value(kafka.bootstrap_servers, "kept") == b"still here"
        with (
            pytest.raises(ConfigError, match="in use by another broker"),
            EmbeddedKafka(port=0, data_dir=tmp_path),
        ):
            pass
        kafka.kill()
        kafka.start()
        assert first_value(kafka.bootstrap_servers, "kept") == b"still here"


def test_what_kafka_said_is_in_the_error_when_it_does_not_start(tmp_path):
    kafka = EmbeddedKafka(port=0, data_dir=tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"(?s)num\.io\.threads"):
        kafka.start()
