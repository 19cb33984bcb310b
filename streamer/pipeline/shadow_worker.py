"""The process behind a shadow: `python -m streamer.pipeline.shadow_worker SOCKET`."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from streamer.config import Topology
from streamer.config.settings import ModelSettings, RegistrySettings
from streamer.config.topology import ModelRef
from streamer.decode import Decoder
from streamer.errors import StreamerError
from streamer.formats import registry_for
from streamer.pipeline.model import Chosen, Model, Models, ModelVersion
from streamer.pipeline.prepare import Preparer
from streamer.pipeline.shadow import Done, Said, Work, answers_of
from streamer.pipeline.step import Step
from streamer.pipeline.tally import Tally
from streamer.records import Answer, Item, Slice, TopicPartition, Wave
from streamer.telemetry import configure

_LOWEST = 19
_TIMED_EVERY = 4
"""Batches that the champion answers as well, for the time that it takes."""


class _Events:
    """Passes the batches' times on."""

    def __init__(self) -> None:
        self.tally: Tally | None = None

    def batch_ran(self, *, model: ModelVersion, items: int, seconds: float, **event: Any) -> None:
        del event
        if self.tally is not None:
            self.tally.ran(model, items, seconds)


class Shadowing:
    """Answers batches with the candidate, and every few of them with the champion too."""

    def __init__(self, work: Work) -> None:
        """Load both versions.

        Raises:
            StreamerError: one does not load, or does not fit the topology.
        """
        topology = Topology.model_validate_json(work.topology)
        self._names = work.steps
        self._models = Models(ModelSettings(dir=Path(work.candidate).parent))
        ref = topology.model_of(topology.steps[work.steps[0]])
        self._champion = self._opened(ref, work.champion, work.task)
        self._candidate = self._opened(ref, work.candidate, work.task)
        first, second = self._champion.champion, self._candidate.champion
        events = _Events()
        self._steps = [
            Step(name, topology.steps[name], work.task, self._candidate, events)
            for name in work.steps
        ]
        kind = "image" if any(step.origin for step in self._steps) else second.preprocessor.kind
        registry = registry_for(
            topology.source.format, RegistrySettings.model_validate(work.registry)
        )
        decoder = Decoder(topology.source, kind, registry)
        tombstone = topology.source.tombstone
        self._preparer = Preparer(decoder, kind, self._steps, tombstone, 1)
        for step in self._steps:
            step.interpreter(second)
        self._tally = Tally(work.model, work.rollout, first, second)
        events.tally = self._tally
        self._batches = 0

    def _opened(self, ref: ModelRef, folder: str, task: str) -> Model:
        alone = {"uri": folder, "sessions": 1, "threads": 1, "isolation": "none"}
        return self._models.open(ref.model_copy(update=alone), Path(folder).parent, task)

    def run(self, batch: Sequence[Said]) -> Done:
        """Answer a batch; count, and give the answers."""
        if self._batches % _TIMED_EVERY == 0:
            self._answered(batch, self._champion.champion)
        self._batches += 1
        items = self._answered(batch, self._candidate.champion)
        answers: list[dict[str, tuple[str, str, str, Any]] | None] = []
        for said, item in zip(batch, items, strict=True):
            found = answers_of(item, self._names)
            before = None if said.failed else _answers(said, self._names)
            self._tally.shadowed(before, found)
            answers.append(
                None
                if found is None
                else {s: (a.task, a.model, a.version, a.output) for s, a in found.items()}
            )
        counts = self._tally.counts("", "").model_dump_json().encode()
        return Done(counts, answers)

    def _answered(self, batch: Sequence[Said], version: ModelVersion) -> Sequence[Item]:
        items = tuple(Item(said.record()) for said in batch)
        for item, said in zip(items, batch, strict=True):
            item.answers = {
                step: answer
                for step, answer in _answers(said, said.answers).items()
                if step not in self._names
            }
        wave = Wave(0, {TopicPartition("", 0): Slice(0, 0, items)}, 0, 0.0)
        wave.versions[self._candidate] = Chosen(version)
        self._preparer.prepare(wave, items)
        for step in self._steps:
            step.finish(step.begin(wave))
        return items


def _answers(said: Said, steps: Any) -> dict[str, Answer]:
    return {step: Answer("", "", "", said.answers[step]) for step in steps if step in said.answers}


def main(line: Connection) -> None:
    """Load what is asked for, then answer batches until nobody asks any more."""
    shadowing: Shadowing | None = None
    while True:
        try:
            asked = line.recv_bytes()
        except EOFError:
            return
        try:
            if shadowing is None:
                work = msgspec.msgpack.decode(asked, type=Work)
                configure(*work.log)
                shadowing = Shadowing(work)
                told = b""
            else:
                batch = msgspec.msgpack.decode(asked, type=list[Said])
                told = msgspec.msgpack.encode(shadowing.run(batch))
        except StreamerError as error:
            told = b"!" + str(error).encode()
        line.send_bytes(told)


def step_back() -> None:
    """Let everybody else go first; where the system can, run only on cores that nobody wants.

    Even of the lowest niceness, a busy process costs those of normal priority a few per cent.
    """
    if hasattr(os, "nice"):
        os.nice(_LOWEST)
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which ends us
    step_back()
    main(Connection(int(sys.argv[1])))
