import io
import json

import fastavro
import jsonschema
import pytest

from streamer.formats import reading_for, writing_for
from streamer.formats.wire import unwrapped
from streamer.formats.writing import AVRO, JSON_SCHEMA, PROTOBUF

OUTPUT = [{"label": "stop", "score": 0.93}]
CONTENT = {
    "source": {"topic": "in", "partition": 3, "offset": 1042, "timestamp": 1763712000000},
    "topology": "street",
    "predictions": {
        "detect": {"task": "t", "model": "signs", "version": "3", "output": OUTPUT},
        "kind": {"task": "u", "model": "kinds", "version": "1", "output": {"score": 1}},
    },
}


@pytest.mark.parametrize("form", ["avro", "json-schema"])
def test_what_is_written_is_read_again(server, registry, form):
    value = writing_for(form, registry, "out").value(CONTENT)
    assert server.subjects == {"out-value": [1]}
    found = json.loads(reading_for(form, registry).json(value))
    if form == "avro":
        for answer in found["predictions"].values():
            answer["output"] = json.loads(answer["output"])
    assert found == CONTENT


def test_avro_is_what_another_reader_reads(server, registry):
    value = writing_for("avro", registry, "out").value(CONTENT)
    schema = fastavro.parse_schema(json.loads(server.schemas[0]["schema"]))
    assert json.loads(server.schemas[0]["schema"]) == AVRO
    number, body = unwrapped(value)
    found = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
    assert (number, found["source"]) == (1, CONTENT["source"])
    assert json.loads(found["predictions"]["detect"]["output"]) == OUTPUT


def test_json_fits_the_schema_that_is_registered(server, registry):
    value = writing_for("json-schema", registry, "out").value(CONTENT)
    assert server.schemas[0] == {"schema": json.dumps(JSON_SCHEMA), "schemaType": "JSON"}
    jsonschema.validate(json.loads(value[5:]), JSON_SCHEMA)


def test_protobuf_is_the_registered_message_byte_for_byte(server, registry):
    small = {
        **CONTENT,
        "source": {"topic": "in", "partition": 3, "offset": 300, "timestamp": 0},
        "predictions": {"s": {"task": "t", "model": "m", "version": "v", "output": 1}},
    }
    value = writing_for("protobuf", registry, "out").value(small)
    place = b"\x0a\x02in" + b"\x10\x03" + b"\x18\xac\x02"
    answer = b"\x0a\x01t" + b"\x12\x01m" + b"\x1a\x01v" + b"\x22\x011"
    entry = b"\x0a\x01s" + b"\x12" + bytes([len(answer)]) + answer
    body = b"\x0a" + bytes([len(place)]) + place + b"\x12\x06street"
    body += b"\x1a" + bytes([len(entry)]) + entry
    assert value == b"\0\0\0\0\x01" + b"\0" + body
    assert server.schemas[0] == {"schema": PROTOBUF, "schemaType": "PROTOBUF"}
