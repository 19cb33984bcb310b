"""A real schema registry: STREAMER_TEST_REGISTRY names one that speaks Confluent's interface.

Apicurio, for instance: http://127.0.0.1:8080/apis/ccompat/v7
"""

import json
import os
from uuid import uuid4

import pytest

from streamer.config.settings import RegistrySettings
from streamer.errors import DecodeError
from streamer.formats import Registry, reading_for, writing_for

ADDRESS = os.environ.get("STREAMER_TEST_REGISTRY")
pytestmark = pytest.mark.skipif(
    not ADDRESS, reason="platform: no schema registry here (set STREAMER_TEST_REGISTRY)"
)
CONTENT = {
    "source": {"topic": "in", "partition": 3, "offset": 1042, "timestamp": 1763712000000},
    "topology": "street",
    "predictions": {
        "detect": {"task": "t", "model": "m", "version": "3", "output": [{"score": 0.5}]}
    },
}


@pytest.mark.parametrize("form", ["avro", "json-schema", "protobuf"])
def test_what_is_written_is_read_again_by_another_client_of_the_registry(form):
    topic = f"test-{uuid4().hex}"
    value = writing_for(form, Registry(RegistrySettings(url=ADDRESS)), topic).value(CONTENT)
    again = writing_for(form, Registry(RegistrySettings(url=ADDRESS)), topic).value(CONTENT)
    assert again == value, "registered once, found again"
    found = json.loads(reading_for(form, Registry(RegistrySettings(url=ADDRESS))).json(value))
    if form != "json-schema":
        answer = found["predictions"]["detect"]
        answer["output"] = json.loads(answer["output"])
    if form == "protobuf":  # its JSON writes 64 bits as text
        found["source"] = {k: v if k == "topic" else int(v) for k, v in found["source"].items()}
    assert found == CONTENT


def test_an_id_that_it_does_not_know_is_a_dead_letter():
    with pytest.raises(DecodeError) as raised:
        Registry(RegistrySettings(url=ADDRESS)).schema(2_000_000_000)
    assert raised.value.reason == "unknown-schema"
