"""Values with a schema and CloudEvents, in and out, through the daemon and a real broker."""

import base64
import io
import json

import fastavro
import pytest
from support import tiny
from support.daemon import command
from support.registry import SchemaRegistry
from support.topics import Sent

SCHEMA = {
    "type": "record",
    "name": "Photo",
    "fields": [{"name": "image", "type": "bytes"}, {"name": "who", "type": "string"}],
}


@pytest.fixture
def registry():
    made = SchemaRegistry()
    yield made
    made.close()


def test_pictures_in_avro_are_answered_in_avro(topics, daemons, registry):
    tiny.picture_model(daemons.folder / "models")
    source, sink, letters = (topics.make() for _ in range(3))
    number = registry.add(json.dumps(SCHEMA))

    def written(content, schema_id=number):
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), content)
        return b"\0" + schema_id.to_bytes(4, "big") + stream.getvalue()

    photo = {"image": tiny.picture("red"), "who": "me"}
    topics.send(
        source,
        [
            Sent(written(photo), key=b"k"),
            Sent(written(photo, 99)),
            Sent(written({"image": b"no picture", "who": "me"})),
        ],
    )
    topology = {
        "name": f"avro-{sink[-8:]}",
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "avro"},
        "model": "colours",
        "sink": {"topic": sink, "format": "avro"},
        "deadletter": {"topic": letters},
    }
    with daemons.running(topology, SCHEMA_REGISTRY__URL=registry.url) as daemon:
        [answer] = topics.read(sink, 1, alive=daemon.alive)
        reasons = {letter.error("reason") for letter in topics.read(letters, 2)}
    assert len(reasons) == 2
    assert "unknown-schema" in reasons
    assert registry.subjects[f"{sink}-value"]
    head, body = answer.value[:5], answer.value[5:]
    schema = json.loads(registry.schemas[int.from_bytes(head[1:], "big") - 1]["schema"])
    found = fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(schema), None)
    assert (found["source"]["topic"], found["source"]["offset"]) == (source, 0)
    [step] = found["predictions"].values()
    assert json.loads(step["output"])[0]["label"] == "red"
    assert answer.key == b"k"
    environment = {
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": topics.brokers,
        "STREAMER_SCHEMA_REGISTRY__URL": registry.url,
    }
    asked = ("tail", sink, "--from-beginning", "--limit", "1", "--draw", "seen")
    code, told = command(*asked, environment=environment, folder=daemons.folder)
    assert (code, "red" in told, "not drawn" in told) == (0, True, False), told
    drawn = daemons.folder / "seen" / f"{source}-0-0.jpg"
    assert drawn.stat().st_size > 0


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_cloudevents_are_answered_with_cloudevents(topics, daemons, mode):
    tiny.text_model(daemons.folder / "models")
    source, sink, letters = (topics.make() for _ in range(3))
    attributes = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "said"}
    inside = {**attributes, "data": {"text": "good"}}
    plain = {**attributes, "datacontenttype": "text/plain", "data": "good"}
    coded = {**plain, "data_base64": base64.b64encode(b"good").decode()}
    coded.pop("data")
    structured = (("content-type", b"application/cloudevents+json"), ("kept", b"yes"))
    binary = tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
    topics.send(
        source,
        [
            Sent(b"good", headers=(*binary, ("content-type", b"text/plain"), ("kept", b"yes"))),
            Sent(b'{"text": "good"}', headers=(*binary, ("kept", b"yes"))),
            *(Sent(json.dumps(one).encode(), headers=structured) for one in (inside, plain, coded)),
            Sent(b"good"),
        ],
    )
    topology = {
        "name": f"events-{sink[-8:]}",
        "source": {"topics": [source], "format": "cloudevents"},
        "model": "mood",
        "sink": {"topic": sink, "format": "cloudevents", "mode": mode},
        "deadletter": {"topic": letters},
    }
    with daemons.running(topology) as daemon:
        answers = topics.read(sink, 5, alive=daemon.alive)
        [letter] = topics.read(letters, 1)
    assert letter.error("reason") == "no-cloudevent"
    labels = set()
    for number, answer in enumerate(answers):
        names = [name for name, _ in answer.headers]
        told = dict(answer.headers)
        if mode == "binary":
            event = {name[3:]: text.decode() for name, text in told.items() if name[:3] == "ce_"}
            data = answer.json
            assert told["content-type"] == b"application/json"
        else:
            event = answer.json
            data = event["data"]
            assert told["content-type"].startswith(b"application/cloudevents+json")
            assert not [name for name in names if name.startswith("ce_")]
        assert (event["specversion"], event["type"]) == ("1.0", "streamer.prediction.v1")
        assert event["id"] == f"{source}/0/{number}"
        assert names.count("content-type") == 1
        assert told["kept"] == b"yes"
        [step] = data["predictions"].values()
        labels.add(step["output"][0]["label"])
    assert len(labels) == 1, "the same text, however it came"
