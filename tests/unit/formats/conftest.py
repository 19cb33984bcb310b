import pytest
from support.registry import SchemaRegistry

from streamer.config.settings import RegistrySettings
from streamer.formats import Registry


@pytest.fixture
def server():
    made = SchemaRegistry()
    yield made
    made.close()


@pytest.fixture
def registry(server):
    return Registry(RegistrySettings(url=server.url), sleep=lambda _: None)
