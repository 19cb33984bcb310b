import io
import json

import fastavro
import pytest
from google.protobuf import timestamp_pb2

from streamer.config.settings import RegistrySettings
from streamer.errors import BrokerError, DecodeError
from streamer.formats import Registry, reading_for, reading_of
from streamer.formats.wire import wrapped

PERSON = {
    "type": "record",
    "name": "Message",
    "fields": [{"name": "text", "type": "string"}, {"name": "image", "type": ["null", "bytes"]}],
}


def avro(schema, content, known=()):
    named = {}
    for other in known:
        fastavro.parse_schema(other, named_schemas=named)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, named_schemas=named), content)
    return stream.getvalue()


def reason(call):
    with pytest.raises(DecodeError) as raised:
        call()
    return raised.value.reason


def test_avro_is_read_by_the_schema_that_it_was_written_with(server, registry):
    older = server.add(json.dumps(PERSON))
    newer = {**PERSON, "fields": [*PERSON["fields"], {"name": "more", "type": "int"}]}
    number = server.add(json.dumps(newer))
    reading = reading_for("avro", registry)
    value = wrapped(older, avro(PERSON, {"text": "äh", "image": b"\x00\xff"}))
    # text "äh": length 3 as zigzag 6, its bytes; union branch 1 as 2, two bytes as 4
    assert value == b"\0\0\0\0\x01" + b"\x06\xc3\xa4h" + b"\x02\x04\x00\xff"
    assert json.loads(reading.json(value)) == {"text": "äh", "image": "AP8="}
    value = wrapped(number, avro(newer, {"text": "b", "image": None, "more": 3}))
    assert json.loads(reading.json(value)) == {"text": "b", "image": None, "more": 3}


def test_an_avro_schema_may_build_on_another(server, registry):
    place = {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}
    server.add(json.dumps(place), subject="place")
    whole = {
        "type": "record",
        "name": "Whole",
        "fields": [{"name": "at", "type": "Place"}, {"name": "text", "type": "string"}],
    }
    told = [{"name": "Place", "subject": "place", "version": 1}]
    number = server.add(json.dumps(whole), references=told)
    value = wrapped(number, avro(whole, {"at": {"city": "Oslo"}, "text": "t"}, [place]))
    found = json.loads(reading_for("avro", registry).json(value))
    assert found == {"at": {"city": "Oslo"}, "text": "t"}


def test_avro_that_does_not_fit_its_schema_is_a_dead_letter(server, registry):
    number = server.add(json.dumps(PERSON))
    other = server.add("{}", "JSON")
    reading = reading_for("avro", registry)
    good = avro(PERSON, {"text": "t", "image": None})
    assert reason(lambda: reading.json(good)) == "no-schema-id"
    assert reason(lambda: reading.json(wrapped(99, good))) == "unknown-schema"
    assert reason(lambda: reading.json(wrapped(other, good))) == "schema-mismatch"
    assert reason(lambda: reading.json(wrapped(number, good[:-2]))) == "schema-mismatch"
    assert reason(lambda: reading.json(wrapped(number, good + b"x"))) == "schema-mismatch"


TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def test_json_schema_is_json_behind_an_id(server, registry):
    number = server.add(json.dumps(TEXT), "JSON")
    reading = reading_for("json-schema", registry)
    assert reading.json(wrapped(number, b'{"text": "a"}')) == b'{"text": "a"}'


@pytest.mark.parametrize("content", [b'{"text": 3}', b"{}", b"[]", b'{"text"', b"", b"\xff"])
def test_json_that_its_schema_does_not_allow_is_a_dead_letter(server, registry, content):
    number = server.add(json.dumps(TEXT), "JSON")
    reading = reading_for("json-schema", registry)
    assert reason(lambda: reading.json(wrapped(number, content))) == "schema-mismatch"


def test_a_json_schema_may_build_on_another_of_the_registry_and_on_nothing_else(server, registry):
    server.add(json.dumps({"type": "string", "maxLength": 3}), "JSON", subject="short")
    told = [{"name": "short.json", "subject": "short", "version": 1}]
    whole = {"type": "object", "properties": {"text": {"$ref": "short.json"}}}
    number = server.add(json.dumps(whole), "JSON", references=told)
    reading = reading_for("json-schema", registry)
    assert reading.json(wrapped(number, b'{"text": "abc"}'))
    assert reason(lambda: reading.json(wrapped(number, b'{"text": "abcd"}'))) == "schema-mismatch"
    elsewhere = {"properties": {"text": {"$ref": f"{server.url}/schemas/ids/1"}}}
    number = server.add(json.dumps(elsewhere), "JSON")
    assert reason(lambda: reading.json(wrapped(number, b'{"text": "a"}'))) == "schema-mismatch"


def test_a_registry_that_is_away_when_a_reference_is_asked_for_costs_no_record(server):
    server.add('{"type": "string"}', "JSON", subject="short")
    told = [{"name": "short.json", "subject": "short", "version": 1}]
    number = server.add('{"$ref": "short.json"}', "JSON", references=told)
    leaving = Registry(RegistrySettings(url=server.url), lambda: True, lambda _: None)
    leaving.schema(number)  # it goes away between the schema and what that builds on
    server.away = 9
    with pytest.raises(BrokerError, match="does not answer"):
        reading_for("json-schema", leaving).json(wrapped(number, b'"a"'))


def test_a_value_of_any_kind_is_read_by_its_schema(server, registry):
    reading = reading_of(registry)
    number = server.add(json.dumps(TEXT), "JSON")
    assert json.loads(reading.json(wrapped(number, b'{"text": "a"}'))) == {"text": "a"}
    number = server.add(json.dumps(PERSON))
    value = wrapped(number, avro(PERSON, {"text": "b", "image": None}))
    assert json.loads(reading.json(value))["text"] == "b"


SHOP = """syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";

message Other { string text = 1; }
message Outer {
  string text = 1;
  bytes image = 2;
  google.protobuf.Timestamp at = 3;
  message Inner { string sentence_one = 1; }
}
"""


def test_protobuf_is_read_by_its_schema_and_the_messages_place(server, registry):
    number = server.add(SHOP, "PROTOBUF")
    reading = reading_for("protobuf", registry)
    when = timestamp_pb2.Timestamp(seconds=1763712000).SerializeToString()
    # message 1 of the file: count 1 as 2, index 1 as 2; field 1 text, 2 bytes, 3 the timestamp
    body = b"\x0a\x02hi" + b"\x12\x01\xff" + b"\x1a" + bytes([len(when)]) + when
    found = json.loads(reading.json(wrapped(number, b"\x02\x02" + body)))
    assert found == {"text": "hi", "image": "/w==", "at": "2025-11-21T08:00:00Z"}
    # message 0 inside of message 1: count 2 as 4, then 1 and 0
    found = json.loads(reading.json(wrapped(number, b"\x04\x02\x00" + b"\x0a\x01x")))
    assert found == {"sentence_one": "x"}
    # the first message of the file: a lone 0
    assert json.loads(reading.json(wrapped(number, b"\0" + b"\x0a\x01y"))) == {"text": "y"}
    assert reason(lambda: reading.json(wrapped(number, b"\0" + b"\x0a\x05y"))) == "schema-mismatch"
    assert reason(lambda: reading.json(wrapped(number, b"\x02\x0e" + body))) == "schema-mismatch"


@pytest.mark.parametrize("text", ["no schema", 'syntax = "proto3"; message A { B b = 1; }'])
def test_a_schema_that_protoc_refuses_is_told_as_such(server, registry, text):
    number = server.add(text, "PROTOBUF")
    reading = reading_for("protobuf", registry)
    assert reason(lambda: reading.json(wrapped(number, b"\0"))) == "schema-mismatch"


def test_a_protobuf_file_may_import_another(server, registry):
    place = 'syntax = "proto3"; package geo; message Place { string city = 1; }'
    server.add(place, "PROTOBUF", subject="place")
    whole = 'syntax = "proto3"; import "geo/place.proto"; message Whole { geo.Place at = 1; }'
    told = [{"name": "geo/place.proto", "subject": "place", "version": 1}]
    number = server.add(whole, "PROTOBUF", references=told)
    value = wrapped(number, b"\0" + b"\x0a\x06" + b"\x0a\x04Oslo")
    found = json.loads(reading_for("protobuf", registry).json(value))
    assert found == {"at": {"city": "Oslo"}}


def test_an_import_leads_nowhere_but_into_the_folder_of_the_schema(server, registry):
    server.add('syntax = "proto3"; message A { string b = 1; }', "PROTOBUF", subject="other")
    told = [{"name": "../../escaped.proto", "subject": "other", "version": 1}]
    number = server.add('syntax = "proto3"; message B {}', "PROTOBUF", references=told)
    reading = reading_for("protobuf", registry)
    assert reason(lambda: reading.json(wrapped(number, b"\0"))) == "schema-mismatch"
