"""Records as plain JSON, whatever their topic's format: values with a schema, CloudEvents."""

import json
from typing import Any

from msgspec.structs import replace

from streamer.config import Settings
from streamer.errors import DecodeError
from streamer.formats import Reading, Registry, event_of, reading_of
from streamer.records import Record

_HEAD = 5
_PATIENCE_S = 10.0
_NUMBERS = ("partition", "offset", "timestamp")


class Opener:
    """Opens records for people and commands; what it cannot open stays as it is.

    Args:
        settings: where the schema registry is, if there is one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.schema_registry
        self._reading: Reading | None = None

    def plain(self, record: Record) -> Record:
        """Give the record with its content as JSON in place of its value."""
        value = record.value
        if value is None:
            return record
        try:
            if value[:1] == b"\0" and len(value) >= _HEAD and self._settings.url is not None:
                return replace(record, value=_as_prediction(self._read(value)))
            if any(name.lower() == "content-type" for name, _ in record.headers):
                return replace(record, value=event_of(value, record.headers).content)
        except (DecodeError, ImportError):
            return record
        return record

    def _read(self, value: bytes) -> bytes:
        """Read a value by its schema; a registry that is away for long ends it with its error."""
        if self._reading is None:
            self._reading = reading_of(Registry(self._settings, patience=_PATIENCE_S))
        return self._reading.json(value)


def _as_prediction(content: bytes) -> bytes:
    """Undo what Avro and Protobuf need: answers as JSON text, whole numbers as texts."""
    try:
        told = json.loads(content)
        answers = told["predictions"].values()
        for answer in answers:
            if isinstance(answer["output"], str):
                answer["output"] = json.loads(answer["output"])
        told["source"] = _place(told["source"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return content
    return json.dumps(told, ensure_ascii=False).encode()


def _place(source: dict[str, Any]) -> dict[str, Any]:
    """Fill in zeroes, which Protobuf leaves out."""
    return {"topic": source["topic"], **{name: int(source.get(name, 0)) for name in _NUMBERS}}
