"""Records of outputs as lines: predictions and dead letters, for people and for programs."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from streamer.records import Record

ERROR = "streamer.error."
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_MOST_RESULTS = 5
_MOST_CHARS = 160


def prediction_in(record: Record) -> dict[str, Any] | None:
    """Read a record's value as a prediction; None if it is none."""
    content = _json(record.value)
    if not isinstance(content, dict):
        return None
    source, predictions = content.get("source"), content.get("predictions")
    if not isinstance(source, dict) or not isinstance(predictions, dict):
        return None
    placed = all(type(source.get(part)) is int for part in ("partition", "offset"))
    named = _TOPIC.fullmatch(str(source.get("topic"))) is not None
    answered = all(isinstance(answer, dict) for answer in predictions.values())
    return content if placed and named and answered else None


def error_in(record: Record) -> dict[str, str]:
    """Read why a record is a dead letter from its headers; empty if it is none."""
    return {
        name.removeprefix(ERROR): (value or b"").decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(ERROR)
    }


def readable(record: Record) -> Text:
    """Make a line for people: time, place, source, and what was answered or what went wrong."""
    line = Text.assemble(
        (f"{_moment(record.timestamp)} ", "dim"),
        (f"{record.partition}/{record.offset} ", "dim"),
    )
    error, prediction = error_in(record), prediction_in(record)
    if error:
        source = f"{error.get('topic')} {error.get('partition')}/{error.get('offset')}"
        line.append(f"{_short(source)} ", "cyan")
        line.append(_key(record))
        stage = " ".join(part for part in (error.get("stage"), error.get("step")) if part)
        line.append(_short(f"{stage}: {error.get('reason')}: ") + " ", "red")
        line.append(_short(error.get("message", "")))
    elif prediction is not None:
        source = prediction["source"]
        line.append(f"{source['topic']} {source['partition']}/{source['offset']} ", "cyan")
        line.append(_key(record))
        line.append(Text("  ").join(_answers(prediction["predictions"])))
    else:
        line.append(_key(record))
        line.append(_short(_preview(record.value)))
    return line


def _moment(timestamp_ms: int) -> str:
    """Write a time of day; of a timestamp that no calendar has, its number."""
    try:
        at = datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, tz=UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def as_object(record: Record) -> dict[str, Any]:
    """Make an object for programs; what is no UTF-8 is given as base64."""
    content = _json(record.value)
    value = {"value": content} if content is not None else _told("value", record.value)
    headers = [[name, *_told("", text).values()] for name, text in record.headers]
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **_told("key", record.key),
        "headers": headers,
        **value,
        **({"error": error_in(record)} if error_in(record) else {}),
    }


def written(output: Any) -> str:
    """Write a task's output in a few words: labels with scores, boxes in brackets."""
    if isinstance(output, list):
        if not output:
            return "nothing"
        more = len(output) - _MOST_RESULTS
        told = ", ".join(written(entry) for entry in output[:_MOST_RESULTS])
        return f"{told}, {more} more" if more > 0 else told
    if isinstance(output, Mapping) and "output" in output and "item" in output:
        return f"#{output['item']} {written(output['output'])}"
    if isinstance(output, Mapping) and isinstance(output.get("score"), int | float):
        parts = [output.get(key) for key in ("label", "entity_group", "entity", "word")]
        named = "".join(f"{_short(str(part))} " for part in parts if part is not None)
        return f"{named}{output['score']:.3g}{_box(output.get('box'))}"
    if isinstance(output, Mapping) and len(output) == 1:
        (text,) = output.values()
        if isinstance(text, str):
            return _short(text)
    return _short(json.dumps(output, ensure_ascii=False))


def _answers(predictions: Mapping[str, Any]) -> list[Text]:
    return [
        Text.assemble((f"{_short(step)}: ", "bold"), written(answer.get("output")))
        for step, answer in predictions.items()
    ]


def _box(box: Any) -> str:
    if not isinstance(box, Mapping):
        return ""
    left, top, right, bottom = (box.get(side) for side in ("xmin", "ymin", "xmax", "ymax"))
    return " " + _short(f"[{left},{top} {right},{bottom}]")


def _key(record: Record) -> str:
    return "" if record.key is None else f"{_short(record.key.decode('utf-8', 'replace'))} "


def _preview(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    try:
        return value[: 4 * _MOST_CHARS].decode("utf-8")
    except UnicodeDecodeError as error:
        cut_inside_a_character = error.start > 4 * _MOST_CHARS - 4
        if cut_inside_a_character:
            return value[: error.start].decode("utf-8")
        return f"({len(value):,} bytes)"


def _short(text: str) -> str:
    """Cut a text and take out what would disturb a terminal."""
    plain = "".join(char if char.isprintable() else " " for char in text[: 4 * _MOST_CHARS])
    plain = " ".join(plain.split())
    return plain if len(plain) <= _MOST_CHARS else f"{plain[:_MOST_CHARS]}…"


def _json(value: bytes | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except (ValueError, RecursionError):
        return None


def _told(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}
