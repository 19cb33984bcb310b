"""From a label to its example: the record it speaks of, decoded, and cut where it is a crop."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2

from streamer.config.topology import Source
from streamer.decode import Decoder, Kind
from streamer.decode.fields import FieldReader
from streamer.errors import DecodeError, RecordError
from streamer.labels import Answer, Label, Place
from streamer.records import Image, Pair, Record, Sample, Text
from streamer.retraining.labelled import Found

_JSON = "json"
Original = Callable[[Mapping[str, Any]], Record | None]
"""Reads the record that a source names; None if it is gone."""


class MissingError(RecordError):
    """The record that a label speaks of is not there any more, or is another one."""


@dataclass
class Finder:
    """Finds the examples of labels.

    Attributes:
        source: how the topology reads its records.
        kind: what the model reads.
        group: the file's `split.group`.
        original: reads input records.
        answer: what was answered at a place, as far as it is still known.
    """

    source: Source
    kind: Kind
    group: str
    original: Original
    answer: Callable[[Place], Answer | None]

    def find(self, label: Label) -> Found:
        """Find the example that a label speaks of.

        Raises:
            MissingError: the record is gone, or it is not the one that was meant.
            DecodeError: it holds nothing that the model reads.
        """
        if label.place is None:
            return self._inline(label)
        place = label.place
        if place.topic not in self.source.topics:
            message = f"ref: '{place.topic}' is none of the topology's topics"
            raise DecodeError(message, reason="wrong-topic")
        source = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
        record = self.original({**source, "timestamp": label.timestamp})
        if record is None:
            raise MissingError(f"{place}: the record is gone", reason="label-ref-missing")
        answer = self.answer(place)
        sample = Decoder(self.source, self.kind).decode(record)
        value = None
        if place.item is not None:
            if answer is None or answer.box is None:
                told = f"{place}: the answer with the crop's box is not known"
                raise MissingError(told, reason="label-answer-missing")
            sample = _cut(sample, answer.box)
        elif self.source.format == self.kind:
            value = record.value
        return Found(
            kind=self.kind,
            value=value if value is not None else written(sample),
            sample=sample,
            group=self._group(record),
            recorded_at=record.timestamp,
            random=label.reason == "random" and (answer is None or answer.random),
            model=answer.model if answer is not None else None,
            version=answer.version if answer is not None else None,
            answered=answer.label if answer is not None else None,
        )

    def _inline(self, label: Label) -> Found:
        value = label.example or b""
        return Found(self.kind, value, read_sample(self.kind, value), None)

    def _group(self, record: Record) -> str | None:
        """Give what the file groups by; None where a record has none."""
        if self.group == "key":
            return record.key.hex() if record.key is not None else None
        if self.group.startswith("header:"):
            named = dict(record.headers).get(self.group.removeprefix("header:"))
            return named.hex() if named is not None else None
        if self.group.startswith("/"):
            try:
                found = FieldReader((self.group,), 64).read(record.value or b"")
            except DecodeError:
                return None
            return found[self.group].hex() if self.group in found else None
        return None


def read_sample(kind: Kind, value: bytes) -> Sample:
    """Decode a value as the set keeps it.

    Raises:
        DecodeError: it is none.
    """
    form: Any = _JSON if kind == "pair" else kind
    source = Source(topics=("set",), format=form)
    return Decoder(source, kind).decode(Record("set", 0, 0, 0, None, value))


def written(sample: Sample) -> bytes:
    """Write a sample the way the set keeps it."""
    if isinstance(sample, Text):
        return sample.text.encode()
    if isinstance(sample, Pair):
        pair = {"sentence1": sample.first, "sentence2": sample.second}
        return json.dumps(pair, ensure_ascii=False, sort_keys=True).encode()
    done, encoded = cv2.imencode(".png", sample.pixels)
    if not done:
        raise DecodeError("a picture that cannot be written", reason="not-an-image")
    content: bytes = encoded.tobytes()
    return content


def _cut(sample: Sample, box: tuple[int, int, int, int]) -> Image:
    """Cut a crop out, as the line does."""
    if not isinstance(sample, Image):
        raise DecodeError("only pictures have crops", reason="wrong-item")
    height, width = sample.size
    left, top = min(max(box[0], 0), width - 1), min(max(box[1], 0), height - 1)
    right, bottom = min(max(box[2], left + 1), width), min(max(box[3], top + 1), height)
    return Image(sample.pixels[top:bottom, left:right])
