"""A record on its way through the line, with what has been found out about it."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from streamer.records.record import OutRecord, Record
from streamer.records.sample import Image, ModelInput
from streamer.records.trace import Trace

Stage = Literal["decode", "preprocess", "infer", "postprocess", "encode", "produce"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record is not answered.

    Attributes:
        stage: where it happened.
        step: the topology's step, if one was at work.
        reason: fixed slug, metric label and header alike.
        error: class name of the error.
        message: what was seen, for people.
        attempts: how often the record was tried.
    """

    stage: Stage
    step: str | None
    reason: str
    error: str
    message: str
    attempts: int = 1


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What one step says of one record; `output` has the shape of the task's output.

    It is written so, member by member, into the prediction.
    """

    task: str
    model: str
    version: str
    output: Any


class Item(msgspec.Struct, eq=False):
    """A record, and beside it what the stages so far made of it.

    Attributes:
        inputs: by step, the model inputs that the decode stage prepared (several where a record
            fans out: the two sentences of a pair).
        image: the decoded original, kept only for a step that cuts crops from it.
        answers: by step, in the topology's order.
        rejection: set once; stages pass a rejected item by.
        dropped: the record is to leave no trace but its position (a tombstone with `drop`).
        output: the prediction or the dead letter, set by the encode stage.
        digest: what stands for the record's value, where answers to repeated ones are kept.
        recalled: its answers were kept from a record with the same value.
        trace: its part in a distributed trace; None for records that are not traced.
    """

    record: Record
    inputs: dict[str, list[ModelInput]] = {}
    image: Image | None = None
    answers: dict[str, Answer] = {}
    rejection: Rejection | None = None
    tombstone: bool = False
    dropped: bool = False
    output: OutRecord | None = None
    digest: bytes | None = None
    recalled: bool = False
    trace: Trace | None = None

    @property
    def alive(self) -> bool:
        """Whether stages still have to work on it."""
        return self.rejection is None and not self.tombstone and not self.dropped
