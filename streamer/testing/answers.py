"""What a topology put out, as a test looks at it."""

import json
from dataclasses import dataclass
from typing import Any

from streamer.errors import StreamerError
from streamer.records import Headers, Record, TopicPartition

_ERROR = "streamer.error."


@dataclass(frozen=True)
class Prediction:
    """A record in the sink's topic.

    Attributes:
        source: the partition and
        offset: the offset of the record that is answered.
        content: the whole value; None for a tombstone that was passed on.
        record: what was written, byte for byte.
    """

    source: TopicPartition
    offset: int
    content: Any
    record: Record

    @classmethod
    def read(cls, record: Record) -> "Prediction":
        """Read a record of the sink's topic; of a null value only its own place is known."""
        if record.value is None:
            return cls(TopicPartition(record.topic, record.partition), record.offset, None, record)
        content = json.loads(record.value)
        source = content["source"]
        place = TopicPartition(source["topic"], source["partition"])
        return cls(place, source["offset"], content, record)

    @property
    def key(self) -> bytes | None:
        """The record's key."""
        return self.record.key

    @property
    def headers(self) -> Headers:
        """The record's headers."""
        return self.record.headers

    def output(self, step: str | None = None) -> Any:
        """Give a step's answer; with one step it needs no name.

        Raises:
            StreamerError: there is no such step, or several.
        """
        return self._answer(step)["output"]

    def version(self, step: str | None = None) -> str:
        """Give the version of the model that made a step's answer."""
        return str(self._answer(step)["version"])

    def _answer(self, step: str | None) -> Any:
        answers = (self.content or {}).get("predictions", {})
        if step is None and len(answers) == 1:
            step = next(iter(answers))
        if step not in answers:
            message = f"name one of the steps {sorted(answers)}; got {step!r}"
            raise StreamerError(message)
        return answers[step]


@dataclass(frozen=True)
class DeadLetter:
    """A record in the dead-letter topic, and why it is there.

    Attributes:
        source: the partition and
        offset: the offset of the record that was not answered.
        stage: where it failed: decode, preprocess, infer, postprocess, encode or produce.
        step: the topology's step, empty if none was at work.
        reason: a fixed word.
        error: class name of the error.
        message: what was seen.
        attempts: how often it was tried.
        record: what was written, byte for byte.
    """

    source: TopicPartition
    offset: int
    stage: str
    step: str
    reason: str
    error: str
    message: str
    attempts: int
    record: Record

    @classmethod
    def read(cls, record: Record) -> "DeadLetter":
        """Read a record of the dead-letter topic."""
        told = {
            name.removeprefix(_ERROR): (value or b"").decode(errors="replace")
            for name, value in record.headers
            if name.startswith(_ERROR)
        }
        return cls(
            TopicPartition(told["topic"], int(told["partition"])),
            int(told["offset"]),
            told["stage"],
            told["step"],
            told["reason"],
            told["class"],
            told["message"],
            int(told["attempts"]),
            record,
        )

    @property
    def key(self) -> bytes | None:
        """The original key."""
        return self.record.key

    @property
    def value(self) -> bytes | None:
        """The original value."""
        return self.record.value
