"""CloudEvents 1.0 over Kafka: attributes in headers (binary mode), or all in JSON (structured)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamer.errors import DecodeError
from streamer.records import Headers

EVENT_TYPE = "streamer.prediction.v1"
"""The `type` of the events that predictions are."""
_STRUCTURED = "application/cloudevents+json"
_PREFIX = "ce_"
_VERSION = "1.0"
_REQUIRED = ("id", "source", "specversion", "type")
_JSON = ("application/json", "+json")


class _Envelope(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    datacontenttype: str = "application/json"
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_TEXT = msgspec.json.Decoder(str)


@dataclass(frozen=True)
class Event:
    """What an event carries: its data, and what they are said to be."""

    content: bytes
    content_type: str

    @property
    def is_json(self) -> bool:
        """Whether the data are JSON."""
        kind = self.content_type.partition(";")[0].strip().lower()
        return kind == _JSON[0] or kind.endswith(_JSON[1])


def event_of(value: bytes, headers: Headers) -> Event:
    """Open an event in whichever mode it comes.

    Raises:
        DecodeError: `no-cloudevent`.
    """
    told = {name.lower(): content or b"" for name, content in headers}
    kind = told.get("content-type", b"").decode("latin-1")
    if kind.lower().startswith(_STRUCTURED):
        return _structured(value)
    lacking = [name for name in _REQUIRED if f"{_PREFIX}{name}" not in told]
    if lacking:
        raise DecodeError(
            f"no CloudEvent: content-type is {kind or 'missing'}, and of the headers "
            f"{', '.join(_PREFIX + name for name in lacking)} are missing",
            reason="no-cloudevent",
        )
    _check_version(told[f"{_PREFIX}specversion"].decode("latin-1"))
    return Event(value, kind or "application/json")


def _structured(value: bytes) -> Event:
    try:
        envelope = _ENVELOPE.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no CloudEvent: {error}", reason="no-cloudevent") from error
    _check_version(envelope.specversion)
    kind = envelope.datacontenttype
    if envelope.data_base64 is not msgspec.UNSET:
        return Event(envelope.data_base64, kind)
    if envelope.data is msgspec.UNSET:
        raise DecodeError("the CloudEvent has no data", reason="empty-value")
    content = bytes(envelope.data)
    event = Event(content, kind)
    if not event.is_json and content.startswith(b'"'):
        return Event(_TEXT.decode(content).encode(), kind)  # text, in JSON's quotes
    return event


def _check_version(version: str) -> None:
    if version != _VERSION:
        raise DecodeError(f"CloudEvents {version[:20]}, not {_VERSION}", reason="no-cloudevent")


def enveloped(
    content: bytes, attributes: Mapping[str, str], *, structured: bool
) -> tuple[bytes, Headers]:
    """Make an event of JSON data.

    Args:
        content: the data.
        attributes: `id`, `source`, `type`, and further ones.
        structured: whether the attributes go into the value, instead of into headers.

    Returns:
        The value, and the headers that belong to it.
    """
    told: dict[str, Any] = {"specversion": _VERSION, **attributes}
    if structured:
        value = msgspec.json.encode(
            {**told, "datacontenttype": "application/json", "data": msgspec.Raw(content)}
        )
        return value, (("content-type", _STRUCTURED.encode() + b"; charset=UTF-8"),)
    headers = tuple((f"{_PREFIX}{name}", text.encode()) for name, text in told.items())
    return content, (*headers, ("content-type", b"application/json"))


def time_of(timestamp_ms: int) -> str | None:
    """Write a record's timestamp as an event's time; None for one that no calendar has."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # microseconds, say, which brokers take
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
