"""A record's value to the sample it holds."""

from collections.abc import Callable
from typing import Literal

import cv2
import msgspec

from streamer.config.topology import Source
from streamer.decode.embedded import decode_base64, header_in_base64
from streamer.decode.fetch import Fetcher
from streamer.decode.fields import FieldReader, decoded
from streamer.decode.headers import header_of
from streamer.decode.picture import Jpegs, decode_image
from streamer.decode.text import checked_text, decode_text
from streamer.errors import ConfigError, DecodeError
from streamer.formats import SCHEMED, Reading, Registry, event_of, reading_for
from streamer.records import Image, Pair, Record, Sample, Text

Kind = Literal["image", "text", "pair"]
"""What a model reads: a picture, a text, or two sentences."""

_CHANNELS = 3
_DECODED_TIMES = 20
"""Bytes of a decoded picture for each of a JPEG, roughly."""
_STRING = msgspec.json.Decoder(str)


class Decoder:
    """Decodes the records of a source; of use to several threads at a time."""

    def __init__(
        self,
        source: Source,
        kind: Kind,
        registry: Registry | None = None,
        edge: Callable[[], int | None] = lambda: None,
        jpegs: Jpegs | None = None,
    ) -> None:
        """Prepare to make samples of `kind`; `edge` gives that of `decode_image`, `jpegs` is its.

        Raises:
            ConfigError: the source's format holds no such samples or lacks its schema registry,
                or its `fetch` is wrong.
        """
        if source.format not in {kind, "json", "cloudevents", *SCHEMED}:
            raise ConfigError(
                f"source.format: {source.format} holds no {kind} for the model to read; "
                f"write {'json' if kind == 'pair' else kind + ' or json'}"
            )
        self._source = source
        self._edge = edge
        self._jpegs = jpegs
        self._kind = kind
        self._reading: Reading | None = None
        if source.format in SCHEMED:
            if registry is None:
                raise ConfigError(f"source.format: {source.format} cannot be read here")
            self._reading = reading_for(source.format, registry)
        fields = source.fields
        wanted = {
            "image": (fields.image, fields.image_uri),
            "text": (fields.text,),
            "pair": (fields.sentence1, fields.sentence2),
        }
        self._fields = FieldReader(wanted[kind], source.limits.json_depth)
        self._fetcher = Fetcher(source.fetch)
        # What OpenCV writes to standard error of broken pictures is in their dead letters.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        # A picture a thread: the pool has a thread a core, and OpenCV's own would stand in its way.
        cv2.setNumThreads(1)

    def decode(self, record: Record) -> Sample:
        """Decode a record's value.

        Raises:
            DecodeError: whatever is wrong with it; `reason` says what in one word.
        """
        value, form = self._opened(self._checked(record.value), record)
        limits = self._source.limits
        if form == "image":
            return self._picture(value)
        if form == "text":
            return Text(decode_text(value, limits.text))
        found = self._fields.read(value)
        fields = self._source.fields
        if self._kind == "image":
            return self._image(found)
        if self._kind == "text":
            return Text(self._text(found, fields.text))
        return Pair(self._text(found, fields.sentence1), self._text(found, fields.sentence2))

    def _opened(self, value: bytes, record: Record) -> tuple[bytes, str]:
        """Take a value out of what is around it; tell what it is then."""
        form = self._source.format
        if self._reading is not None:
            return self._reading.json(value), "json"
        if form != "cloudevents":
            return value, form
        event = event_of(value, record.headers)
        if not event.content:
            raise DecodeError("an event without data", reason="empty-value")
        if event.is_json or self._kind == "pair":
            return event.content, "json"
        return event.content, self._kind

    def cost(self, record: Record) -> int:
        """Give the bytes of a record, encoded plus decoded, without decoding it.

        What is going to be rejected counts with its encoded bytes. What has to be fetched first
        counts with the most that it may be.
        """
        value = record.value
        if not value or len(value) > self._source.limits.value:
            return record.size_bytes
        return record.size_bytes + self._decoded_bytes(value)

    def _decoded_bytes(self, value: bytes) -> int:
        if self._kind != "image":
            return len(value)
        limits = self._source.limits
        if self._reading is not None:
            return len(value) * _DECODED_TIMES  # to look costs as much as to decode
        if self._source.format in ("image", "cloudevents"):
            header = header_of(value)
        else:
            try:
                found = self._fields.read(value)
            except DecodeError:
                return 0
            content = found.get(self._source.fields.image)
            if content is None:
                fetched = self._source.fetch.max_size + limits.pixels * _CHANNELS
                return fetched if self._source.fetch.allow and found else 0
            header = header_in_base64(content)
        return header.pixels * _CHANNELS if header and header.pixels <= limits.pixels else 0

    def _checked(self, value: bytes | None) -> bytes:
        if value is None:
            raise DecodeError("a null value", reason="null-value")
        if not value:
            raise DecodeError("a value of 0 bytes", reason="empty-value")
        limit = self._source.limits.value
        if len(value) > limit:
            raise DecodeError(
                f"a value of {len(value)} bytes; limits.value is {limit}", reason="value-too-large"
            )
        return value

    def _image(self, found: dict[str, bytes]) -> Image:
        fields = self._source.fields
        if fields.image in found:
            value = decode_base64(self._string(found, fields.image), fields.image)
        elif fields.image_uri in found:
            value = self._fetcher.fetch(self._string(found, fields.image_uri))
            if not value:
                raise DecodeError("what was fetched has 0 bytes", reason="empty-value")
        else:
            raise DecodeError(
                f"neither '{fields.image}' nor '{fields.image_uri}' in the object",
                reason="missing-field",
            )
        return self._picture(value)

    def _picture(self, value: bytes) -> Image:
        images = self._source.images
        edge = self._edge() if images.decode == "fast" else None
        return decode_image(value, images, self._source.limits, edge, self._jpegs)

    def _text(self, found: dict[str, bytes], field: str) -> str:
        if field not in found:
            raise DecodeError(f"no '{field}' in the object", reason="missing-field")
        return checked_text(self._string(found, field), self._source.limits.text, field)

    @staticmethod
    def _string(found: dict[str, bytes], field: str) -> str:
        text: str = decoded(found[field], _STRING, f"field '{field}'")
        return text
