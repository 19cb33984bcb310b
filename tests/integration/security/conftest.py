"""One broker that asks who comes in, for all tests of this folder."""

import pytest
from support import tiny
from support.secured import secured
from support.topics import Topics


@pytest.fixture(scope="package")
def broker(tmp_path_factory):
    with secured(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture
def topics(broker):
    made = Topics(broker.kafka.bootstrap_servers, broker.admin)
    yield made
    made.close()
    broker.revoke_all()


@pytest.fixture
def models(tmp_path):
    tiny.text_model(tmp_path / "models")
    return tmp_path / "models"
