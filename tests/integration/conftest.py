"""A real broker for the tests here: the one that is named, or one of our own."""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from kafka.admin import KafkaAdminClient

from streamer.embedded import EmbeddedKafka

TopicFactory = Callable[..., str]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address: STREAMER_TEST_BROKERS if set, else of an embedded Kafka on a free port."""
    named = os.environ.get("STREAMER_TEST_BROKERS")
    if named:
        yield named
        return
    with EmbeddedKafka(port=0, data_dir=tmp_path_factory.mktemp("broker")) as kafka:
        yield kafka.bootstrap_servers


@pytest.fixture(scope="session")
def kafka_admin(broker: str) -> Iterator[KafkaAdminClient]:
    """Admin client of the session's broker."""
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


@pytest.fixture
def topic(kafka_admin: KafkaAdminClient) -> Iterator[TopicFactory]:
    """Makes fresh topics: `topic(3)`, `topic(configs={"max.message.bytes": "1000"}, prefix="in")`.

    Each has a name nobody used before, a leader for every partition, and goes with its test.
    """
    made: list[str] = []

    def make(
        partitions: int = 1, *, configs: dict[str, str] | None = None, prefix: str = "test"
    ) -> str:
        name = f"{prefix}-{uuid4().hex}"
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}
        kafka_admin.create_topics({name: options}, wait_for_metadata=True)
        made.append(name)
        return name

    yield make
    if made:
        kafka_admin.delete_topics(made)
