"""One record of a labels topic: what it says, and which example it names."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from streamer.errors import RecordError
from streamer.records import Record

_LEAST_PARTS, _MOST_PARTS = 3, 5
_EXAMPLE = ("text", "image", "sentence1", "sentence2")


class LabelError(RecordError):
    """A record of a labels topic is no label."""


class Place(NamedTuple):
    """Which answer is meant: an input record, a step, and a crop where the step works on crops."""

    topic: str
    partition: int
    offset: int
    step: str | None = None
    item: int | None = None

    def __str__(self) -> str:
        """Give the key that a label of it has: TOPIC/PARTITION/OFFSET[/STEP[/ITEM]]."""
        named = f"{self.topic}/{self.partition}/{self.offset}"
        if self.step is None:
            return named
        return f"{named}/{self.step}" + (f"/{self.item}" if self.item is not None else "")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Whoever gave a label takes it back: its example is to be forgotten.

    Attributes:
        name: of the example.
        at: milliseconds since the epoch.
    """

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says an answer should have been.

    Attributes:
        name: of the example: the last label of a name counts.
        place: the answer that it speaks of; None where the example itself is beside the label.
        timestamp: of the input record, if the label tells it: the record found must have it.
        kind: `label`, `boxes`, `score`, `entities` or `text`.
        answer: what is right: a label or several, boxes, a similarity, entities, a text.
        example: of an inline one: the value as a source would have it.
        reason: why it was labelled, as the request had it.
        propensity: how probable it was to be asked for.
        at: when it was given, milliseconds since the epoch.
    """

    name: str
    place: Place | None
    timestamp: int | None
    kind: str
    answer: Any
    example: bytes | None
    reason: str | None
    propensity: float | None
    at: int

    @property
    def written(self) -> str:
        """The answer as text, equal for equal answers."""
        return json.dumps({self.kind: self.answer}, sort_keys=True, ensure_ascii=False)


class _Ref(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp: int | None = None


class _Written(msgspec.Struct):
    """The JSON object; keys that others add are passed over."""

    ref: _Ref | None = None
    step: str | None = None
    item: int | None = None
    label: str | list[str] | None = None
    boxes: list[dict[str, Any]] | None = None
    score: float | None = None
    entities: list[dict[str, Any]] | None = None
    text: str | None = None
    image: str | None = None
    sentence1: str | None = None
    sentence2: str | None = None
    reason: str | None = None
    propensity: float | None = None
    withdrawn: bool = False


_DECODER = msgspec.json.Decoder(_Written)


def read_name(key: bytes | None, step: str | None = None) -> str | None:
    """Give the name that a record's key means; None where there is no key.

    Args:
        key: of the record.
        step: the topology's only step, which a name may leave out.
    """
    if not key:
        return None
    text = key.decode("utf-8", "replace")
    place = place_of(text)
    return text if place is None else str(_with_step(place, step))


def read_label(record: Record, step: str | None = None) -> Label | Withdrawal:
    """Read a record of a labels topic.

    Args:
        record: as it was read.
        step: the topology's only step, which labels may leave out; None where it has several.

    Raises:
        LabelError: it is none; `reason` says what is wrong in one word.
    """
    name = read_name(record.key, step)
    if record.value is None:
        if name is None:
            raise LabelError("a null value without a key withdraws nothing", reason="no-key")
        return Withdrawal(name, record.timestamp)
    try:
        written = _DECODER.decode(record.value)
    except msgspec.ValidationError as error:
        raise LabelError(str(error), reason="wrong-type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LabelError(f"no JSON: {error}", reason="invalid-json") from error
    place = _place(written, step)
    if name is None and place is None:
        raise LabelError("neither a key nor a ref names the example", reason="no-key")
    named = name if name is not None else str(place)
    if written.withdrawn:
        return Withdrawal(named, record.timestamp)
    if place is not None and place.step is None:
        message = "several steps answer: the label must say which of them, as in step: kind"
        raise LabelError(message, reason="no-step")
    kind, answer = _answer(written, inline=place is None)
    return Label(
        name=named,
        place=place,
        timestamp=written.ref.timestamp if written.ref is not None else None,
        kind=kind,
        answer=answer,
        example=_example(written) if place is None else None,
        reason=written.reason,
        propensity=_propensity(written),
        at=record.timestamp,
    )


def place_of(key: str) -> Place | None:
    """Read the place that a label's key names; None of a key that names something else."""
    parts = key.split("/")
    if not _LEAST_PARTS <= len(parts) <= _MOST_PARTS:
        return None
    numbers = [*parts[1:3], *parts[4:5]]
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        return None
    item = int(parts[4]) if len(parts) == _MOST_PARTS else None
    step = parts[3] if len(parts) > _LEAST_PARTS else None
    return Place(parts[0], int(parts[1]), int(parts[2]), step, item)


def _with_step(place: Place, step: str | None) -> Place:
    return place if place.step is not None else place._replace(step=step)


def _place(written: _Written, step: str | None) -> Place | None:
    ref = written.ref
    if ref is None:
        return None
    if not ref.topic or ref.partition < 0 or ref.offset < 0 or (written.item or 0) < 0:
        raise LabelError("ref: a topic, and numbers from 0 on", reason="wrong-ref")
    place = Place(ref.topic, ref.partition, ref.offset, written.step, written.item)
    return _with_step(place, step)


def _answer(written: _Written, *, inline: bool) -> tuple[str, Any]:
    names = ("label", "boxes", "score", "entities", *(() if inline else ("text",)))
    given = {name: getattr(written, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        told = f"it has {' and '.join(given)}" if given else "it has none"
        message = f"a label has one of {', '.join(names)}; {told}"
        raise LabelError(message, reason="no-label" if not given else "several-labels")
    [(kind, answer)] = given.items()
    if kind == "label" and (not answer or (isinstance(answer, list) and not all(answer))):
        raise LabelError("an empty label", reason="no-label")
    return kind, answer


def _propensity(written: _Written) -> float | None:
    found = written.propensity
    if found is not None and not 0 < found <= 1:
        raise LabelError(f"propensity: above 0, at most 1; got {found}", reason="wrong-propensity")
    return found


def _example(written: _Written) -> bytes:
    """Give an inline example the way a source of its kind would have it."""
    given = [name for name in _EXAMPLE if getattr(written, name) is not None]
    if given == ["text"]:
        return (written.text or "").encode()
    if given == ["image"]:
        try:
            return base64.b64decode(written.image or "", validate=True)
        except binascii.Error as error:
            raise LabelError(f"image: no base64: {error}", reason="wrong-type") from error
    if given == ["sentence1", "sentence2"]:
        pair = {"sentence1": written.sentence1, "sentence2": written.sentence2}
        return json.dumps(pair, ensure_ascii=False).encode()
    told = "neither ref nor example" if not given else f"{' and '.join(given)} together"
    message = f"{told}: write ref, or text, or image, or sentence1 and sentence2"
    raise LabelError(message, reason="no-example")
