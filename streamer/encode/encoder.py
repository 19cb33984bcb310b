"""Predictions as records: JSON, a format with a schema, or CloudEvents."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec

from streamer.config.topology import Topology
from streamer.encode.letter import dead_letter, smaller
from streamer.errors import EncodeError
from streamer.formats import EVENT_TYPE, Writing, enveloped, time_of
from streamer.records import Answer, Item, OutRecord, Record, Rejection, TopicPartition, Wave

_TOPOLOGY_HEADER = "streamer.topology"

_partition = lru_cache(maxsize=1024)(TopicPartition)
"""One object for a partition, not one for each record: a named tuple takes long to make."""


class _Source(msgspec.Struct, frozen=True, gc=False):
    """Which record is answered."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class _Prediction(msgspec.Struct, frozen=True, gc=False):
    """A prediction as it is written, member by member."""

    source: _Source
    topology: str
    predictions: dict[str, Answer]


class Encoder:
    """Writes the records that a topology puts out."""

    def __init__(self, topology: Topology, writing: Writing | None = None) -> None:
        """Prepare to write; `writing` is for formats with a schema."""
        self._writing = writing
        self._name = topology.name
        self._sink = topology.sink
        self._letters = topology.deadletter_topic
        self._json = msgspec.json.Encoder()
        self._events = "cloudevents" in (topology.source.format, topology.sink.format)
        self._mark = (_TOPOLOGY_HEADER, topology.name.encode())
        self._marked = (self._mark,)

    def prediction(self, item: Item) -> OutRecord:
        """Write an item's answers.

        Raises:
            EncodeError: an answer holds something that JSON has no word for.
        """
        record = item.record
        source = _Source(record.topic, record.partition, record.offset, record.timestamp)
        content = _Prediction(source, self._name, item.answers)
        try:
            if self._writing is None:
                value = self._json.encode(content)
            else:
                value = self._writing.value(msgspec.to_builtins(content))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            message = f"the answer cannot be written as JSON: {error}"
            raise EncodeError(message, reason="not-encodable") from error
        if self._sink.format == "cloudevents":
            return self._event(record, value)
        return self._out(record, value)

    def _event(self, record: Record, content: bytes) -> OutRecord:
        moment = time_of(record.timestamp) if record.timestamp >= 0 else None
        attributes = {
            "id": f"{record.topic}/{record.partition}/{record.offset}",
            "source": f"/streamer/{self._name}",
            "type": EVENT_TYPE,
            **({} if moment is None else {"time": moment}),
        }
        structured = self._sink.mode == "structured"
        value, headers = enveloped(content, attributes, structured=structured)
        output = self._out(record, value)
        return msgspec.structs.replace(output, headers=output.headers + headers)

    def _out(self, record: Record, value: bytes | None) -> OutRecord:
        carried = [header for header in record.headers if self._carries(header[0])]
        from_source = self._sink.timestamp == "source" and record.timestamp >= 0
        return OutRecord(
            topic=self._sink.topic,
            key=record.key,
            value=value,
            headers=(*carried, self._mark) if carried else self._marked,
            timestamp=record.timestamp if from_source else None,
            source=_partition(record.topic, record.partition),
        )

    def _carries(self, name: str) -> bool:
        """Whether a header goes out again: what makes the input an event does not."""
        of_the_event = name.startswith("ce_") or name == "content-type"
        return name != _TOPOLOGY_HEADER and not (self._events and of_the_event)

    def letter(self, record: Record, rejection: Rejection) -> OutRecord:
        """Write a dead letter."""
        return dead_letter(self._letters, self._name, record, rejection)

    def smaller(self, letter: OutRecord, *, too_large: bool) -> OutRecord | None:
        """Omit more of a dead letter that was refused; None if nothing is left to omit."""
        return smaller(letter, too_large=too_large)

    def encode(self, item: Item) -> None:
        """Set an item's output: its prediction, a tombstone, its dead letter, or nothing."""
        if item.dropped:
            return
        if item.tombstone:
            item.output = self._out(item.record, None)
            return
        if item.rejection is None:
            try:
                item.output = self.prediction(item)
            except EncodeError as error:
                item.rejection = Rejection(
                    "encode", None, error.reason, type(error).__name__, str(error)
                )
        if item.rejection is not None:
            item.output = self.letter(item.record, item.rejection)

    def encoded(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Encode waves as they come."""
        for wave in waves:
            for item in wave.items:
                self.encode(item)
                item.inputs.clear()
                item.image = None
            yield wave
