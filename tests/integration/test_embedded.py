import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient

from streamer.embedded import EmbeddedCluster, EmbeddedKafka
from streamer.errors import BrokerError, ConfigError

_SMALL_HEAP = 256


def made(brokers: str, topic: str) -> None:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=brokers)) as admin:
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)


def sent(brokers: str, topic: str, value: bytes) -> None:
    with KafkaProducer(bootstrap_servers=brokers) as producer:
        producer.send(topic, value).get(timeout=30)


def first_value(brokers: str, topic: str) -> bytes:
    with KafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    ) as consumer:
        value: bytes = next(iter(consumer)).value
        return value


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@contextmanager
def command(*options: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "streamer", "broker", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready_address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"ready (127\.0\.0\.1:\d+)\n", line)
    assert found, (line, process.communicate(timeout=30))
    return found[1]


def test_a_fresh_topic_takes_and_gives_records(broker, topic):
    name = topic(2)
    sent(broker, name, b"a record")
    assert first_value(broker, name) == b"a record"


def test_records_outlive_a_restart_in_the_same_folder(tmp_path):
    with EmbeddedKafka(port=0, data_dir=tmp_path, heap_mb=_SMALL_HEAP) as kafka:
        address = kafka.bootstrap_servers
        made(address, "kept")
        sent(address, "kept", b"still here")
    assert not listens(address)
    with EmbeddedKafka(port=0, data_dir=tmp_path, heap_mb=_SMALL_HEAP) as kafka:
        assert first_value(kafka.bootstrap_servers, "kept") == b"still here"
        again = EmbeddedKafka(port=0, data_dir=tmp_path)
        with pytest.raises(ConfigError, match="in use by another broker"):
            again.start()


def test_what_kafka_said_is_in_the_error_when_it_does_not_start(tmp_path):
    kafka = EmbeddedKafka(port=0, data_dir=tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"(?s)num\.io\.threads"):
        kafka.start()


def test_the_command_says_ready_and_stops_cleanly_on_a_signal(tmp_path):
    with command("--port", "0", "--data-dir", str(tmp_path), "--heap", "256") as process:
        address = ready_address(process)
        with command("--port", address.split(":")[1]) as second:
            _, errors = second.communicate(timeout=30)
            assert second.returncode == 2
            assert f"port {address.split(':')[1]} of 127.0.0.1 cannot be used" in errors
            assert "Traceback" not in errors
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert (output, errors) == ("", "")
    assert not listens(address)
    assert (tmp_path / "logs" / "meta.properties").exists()


def test_the_command_ends_with_an_error_when_kafka_ends(tmp_path):
    with command("--port", "0", "--data-dir", str(tmp_path), "--heap", "256") as process:
        ready_address(process)
        (kafka,) = children(process.pid, "java")
        os.kill(kafka, signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "Kafka ended by itself" in errors


@pytest.mark.long  # tests/faults/test_network.py kills and starts each node under a daemon
def test_a_cluster_serves_on_while_a_node_is_down():
    with EmbeddedCluster(nodes=3) as cluster:
        made(cluster.bootstrap_servers, "copied")
        sent(cluster.bootstrap_servers, "copied", b"before")
        cluster.nodes[1].kill()
        started = time.monotonic()
        sent(cluster.bootstrap_servers, "copied", b"during")
        assert time.monotonic() - started < 15
        cluster.start_node(1)
        assert cluster.nodes[1].running
        assert first_value(cluster.bootstrap_servers, "copied") == b"before"


def children(pid: int, name: str) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children() if child.name() == name]
