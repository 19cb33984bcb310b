"""What a topology writes, for those who read it: JSON Schema and AsyncAPI."""

from pathlib import Path
from typing import Any

from streamer.config import Topology, load_topology
from streamer.config.settings import ModelSettings
from streamer.models.registry import open_registry
from streamer.models.version import load_version
from streamer.tasks import task_named

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_CONTENT_TYPES = {
    "image": "image/*",
    "text": "text/plain",
    "json": "application/json",
    "avro": "application/vnd.apache.avro",
    "protobuf": "application/vnd.google.protobuf",
    "json-schema": "application/schema+json",
    "cloudevents": "application/cloudevents+json",
}
_ERROR_HEADERS = (
    *("stage", "step", "reason", "class", "message", "topology"),
    *("topic", "partition", "offset", "timestamp", "attempts"),
)


def prediction_schema(file: Path, models: ModelSettings) -> dict[str, Any]:
    """Give the JSON Schema of the predictions that a topology file's sink gets.

    Raises:
        ConfigError: the file is wrong, or a model that must tell its task is not there.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_prediction(load_topology(file), file, models),
    }


def asyncapi(file: Path, models: ModelSettings) -> dict[str, Any]:
    """Give the AsyncAPI 3 document of a topology file.

    Raises:
        ConfigError: the file is wrong, or a model that must tell its task is not there.
    """
    topology = load_topology(file)
    source, sink, letters = topology.source, topology.sink.topic, topology.deadletter_topic
    channels: dict[str, Any] = {
        topic: _channel(topic, "input", f"Records of format {source.format}.")
        for topic in source.topics
    }
    channels[sink] = _channel(sink, "prediction", "One prediction for each record answered.")
    channels[letters] = _channel(letters, "deadletter", "Records that cannot be answered.")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": topology.name, "version": "1", "description": _story(topology)},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            **{
                f"read-{topic}": {"action": "receive", "channel": _ref("channels", topic)}
                for topic in source.topics
            },
            "answer": {"action": "send", "channel": _ref("channels", sink)},
            "set-aside": {"action": "send", "channel": _ref("channels", letters)},
        },
        "components": {
            "messages": {
                "input": {"contentType": _CONTENT_TYPES[source.format]},
                "prediction": {
                    "contentType": _CONTENT_TYPES[topology.sink.format],
                    "payload": _prediction(topology, file, models),
                },
                "deadletter": {
                    "summary": "The original key, value and headers, and why it is here.",
                    "headers": {
                        "type": "object",
                        "properties": {f"streamer.error.{name}": _TEXT for name in _ERROR_HEADERS},
                    },
                },
            }
        },
    }


def _prediction(topology: Topology, file: Path, models: ModelSettings) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    for name, step in topology.steps.items():
        task = step.task
        if task is None:
            uri = topology.models[step.model].uri
            task = _told(uri, file, models)
        output = task_named(task).output_schema
        steps[name] = _object(
            task={"const": task},
            model=_TEXT,
            version=_TEXT,
            output=_of_each_crop(output) if step.from_ else output,
        )
    place = _object(topic=_TEXT, partition=_WHOLE, offset=_WHOLE, timestamp=_WHOLE)
    return _object(
        source={**place, "description": "the record that is answered"},
        topology={"const": topology.name},
        predictions=_object(**steps),
    )


def _of_each_crop(output: dict[str, Any]) -> dict[str, Any]:
    box = _object(xmin=_WHOLE, ymin=_WHOLE, xmax=_WHOLE, ymax=_WHOLE)
    return {"type": "array", "items": _object(item=_WHOLE, box=box, output=output)}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _channel(topic: str, message: str, description: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {message: _ref("components/messages", message)},
    }


def _ref(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name}"}


def _story(topology: Topology) -> str:
    steps = ", ".join(
        f"{name} ({step.model}{f' on {step.from_}' if step.from_ else ''})"
        for name, step in topology.steps.items()
    )
    return f"Steps: {steps}. Delivery: {topology.delivery}."


def _told(uri: str, file: Path, models: ModelSettings) -> str:
    """Ask a model for its task."""
    version = load_version(
        uri,
        beside=file,
        models_dir=models.dir,
        registry=open_registry(models),
        cache=models.cache,
    )
    return version.manifest.task
