"""Records of any format as plain JSON."""

import json

import pytest
from support.registry import SchemaRegistry

from streamer.config import Settings
from streamer.config.settings import RegistrySettings
from streamer.formats import Registry, writing_for
from streamer.operate.lines import prediction_in
from streamer.operate.opening import Opener
from streamer.records import Record

PREDICTION = {
    "source": {"topic": "in", "partition": 0, "offset": 7, "timestamp": 1763712000000},
    "topology": "t",
    "predictions": {
        "predict": {
            "task": "text-classification",
            "model": "m",
            "version": "1",
            "output": [{"label": "good", "score": 0.5}],
        }
    },
}


@pytest.fixture
def server():
    made = SchemaRegistry()
    yield made
    made.close()


def record(value, *headers):
    return Record("out", 0, 0, 1, b"k", value, headers)


@pytest.mark.parametrize("form", ["avro", "protobuf", "json-schema"])
def test_a_prediction_with_a_schema_is_as_if_it_were_json(server, form):
    registry = RegistrySettings(url=server.url)
    value = writing_for(form, Registry(registry), "out").value(PREDICTION)
    opener = Opener(Settings(schema_registry=registry))
    assert prediction_in(record(value)) is None
    assert prediction_in(opener.plain(record(value))) == PREDICTION


def test_a_prediction_in_an_event_is_taken_out(server):
    content = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": PREDICTION}
    kind = ("content-type", b"application/cloudevents+json")
    found = Opener(Settings()).plain(record(json.dumps(content).encode(), kind))
    assert prediction_in(found) == PREDICTION


@pytest.mark.parametrize("value", [None, b"", b"text", b"\0", b"\0\0\0\0\x63rest", b"\0\0\0\0\0"])
def test_what_cannot_be_opened_stays_as_it_is(server, value):
    there = Settings(schema_registry=RegistrySettings(url=server.url))
    for settings in (Settings(), there):
        for headers in ((), (("content-type", b"text/plain"),)):
            assert Opener(settings).plain(record(value, *headers)).value == value
