"""Predictions with a schema: registered under TOPIC-value, written behind its id.

What a step says differs by task, so `output` is JSON text in Avro and Protobuf; all around it is
typed.
"""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from streamer.errors import ConfigError
from streamer.formats.registry import Registry
from streamer.formats.wire import with_message_indexes, wrapped

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_OUTPUT = msgspec.json.Encoder()

AVRO: Mapping[str, Any] = {
    "type": "record",
    "name": "Prediction",
    "namespace": "streamer",
    "fields": [
        {
            "name": "source",
            "type": {
                "type": "record",
                "name": "Place",
                "fields": [
                    {"name": "topic", "type": "string"},
                    {"name": "partition", "type": "int"},
                    {"name": "offset", "type": "long"},
                    {"name": "timestamp", "type": "long"},
                ],
            },
        },
        {"name": "topology", "type": "string"},
        {
            "name": "predictions",
            "type": {
                "type": "map",
                "values": {
                    "type": "record",
                    "name": "Answer",
                    "fields": [
                        {"name": "task", "type": "string"},
                        {"name": "model", "type": "string"},
                        {"name": "version", "type": "string"},
                        {"name": "output", "type": "string", "doc": "JSON, as the task has it"},
                    ],
                },
            },
        },
    ],
}
PROTOBUF = """syntax = "proto3";
package streamer;

message Prediction {
  Place source = 1;
  string topology = 2;
  map<string, Answer> predictions = 3;
}

message Place {
  string topic = 1;
  int32 partition = 2;
  int64 offset = 3;
  int64 timestamp = 4;
}

message Answer {
  string task = 1;
  string model = 2;
  string version = 3;
  // JSON, as the task has it.
  string output = 4;
}
"""
JSON_SCHEMA: Mapping[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Prediction",
    "type": "object",
    "properties": {
        "source": {
            "type": "object",
            "properties": {
                "topic": _TEXT,
                "partition": _WHOLE,
                "offset": _WHOLE,
                "timestamp": _WHOLE,
            },
            "required": ["topic", "partition", "offset", "timestamp"],
        },
        "topology": _TEXT,
        "predictions": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"task": _TEXT, "model": _TEXT, "version": _TEXT, "output": {}},
                "required": ["task", "model", "version", "output"],
            },
        },
    },
    "required": ["source", "topology", "predictions"],
}


class Writing(Protocol):
    """Writes a prediction's content."""

    def value(self, content: Mapping[str, Any]) -> bytes:
        """Write it as the record's value."""
        ...


def writing_for(form: str, registry: Registry, topic: str) -> Writing:
    """Register the schema of a topic's predictions, and give what writes them.

    Raises:
        ConfigError: the registry refuses it, or the extra `schemas` is not installed.
    """
    try:
        return _WRITINGS[form](registry, f"{topic}-value")
    except ImportError as error:
        told = f"sink.format: {form} needs {error.name}; pip install 'streamer[schemas]'"
        raise ConfigError(told) from error


class AvroWriting:
    """Avro."""

    def __init__(self, registry: Registry, subject: str) -> None:
        import fastavro

        self._write: Callable[..., None] = fastavro.schemaless_writer
        self._schema = fastavro.parse_schema(dict(AVRO))
        self._id = registry.register(subject, "AVRO", json.dumps(AVRO))

    def value(self, content: Mapping[str, Any]) -> bytes:
        """Write a prediction."""
        stream = io.BytesIO()
        self._write(stream, self._schema, _with_text_output(content))
        return wrapped(self._id, stream.getvalue())


class ProtobufWriting:
    """Protobuf."""

    def __init__(self, registry: Registry, subject: str) -> None:
        from streamer.formats.proto import message_class

        self._kind = message_class(PROTOBUF, {}, [0])
        self._id = registry.register(subject, "PROTOBUF", PROTOBUF)

    def value(self, content: Mapping[str, Any]) -> bytes:
        """Write a prediction."""
        told = _with_text_output(content)
        message = self._kind(source=told["source"], topology=told["topology"])
        for step, answer in told["predictions"].items():
            found = message.predictions[step]
            for name, text in answer.items():
                setattr(found, name, text)
        body = message.SerializeToString(deterministic=True)
        return wrapped(self._id, with_message_indexes([0], body))


class JsonSchemaWriting:
    """JSON, with the id of its schema before it."""

    def __init__(self, registry: Registry, subject: str) -> None:
        self._json = msgspec.json.Encoder()
        self._id = registry.register(subject, "JSON", json.dumps(JSON_SCHEMA))

    def value(self, content: Mapping[str, Any]) -> bytes:
        """Write a prediction."""
        return wrapped(self._id, self._json.encode(content))


_WRITINGS: dict[str, Callable[[Registry, str], Writing]] = {
    "avro": AvroWriting,
    "protobuf": ProtobufWriting,
    "json-schema": JsonSchemaWriting,
}


def _with_text_output(content: Mapping[str, Any]) -> dict[str, Any]:
    predictions = {
        step: {**answer, "output": _OUTPUT.encode(answer["output"]).decode()}
        for step, answer in content["predictions"].items()
    }
    return {**content, "predictions": predictions}
