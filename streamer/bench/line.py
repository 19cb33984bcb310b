"""The line without Kafka: the same stages in the same threads, fed from memory."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from time import perf_counter

from streamer.config.topology import Topology
from streamer.consume import Gatherer
from streamer.encode import Encoder
from streamer.pipeline.assembly import Assembly
from streamer.pipeline.line import CostedPreparer
from streamer.pipeline.pace import Pace, pace_of
from streamer.pipeline.stages import working_stages
from streamer.records import ModelInput, Record, TopicPartition, Wave
from streamer.runtime import Channel, Closed, Stage, run_line

_PLACE = TopicPartition("bench", 0)
_BUDGET = 1 << 40
_SAMPLED = {"image": 64, "text": 512, "pair": 512}
"""Records whose inputs are kept to measure the models alone."""


@dataclass
class Stages:
    """How long each stage worked on waves, in seconds, and waited for the one before."""

    worked: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    queued: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def observe(self, stage: str, queued: float, worked: float) -> None:
        """Take note of one wave."""
        self.worked[stage] += worked
        self.queued[stage] += queued


@dataclass
class Letters:
    """Records that would be dead letters: how many, and why the first of them is one."""

    count: int = 0
    why: str | None = None

    def look(self, wave: Wave) -> None:
        """Take note of one wave's."""
        for item in wave.items:
            if item.rejection is not None:
                self.count += 1
                self.why = self.why or f"{item.rejection.stage}: {item.rejection.message}"


@dataclass(frozen=True)
class Passed:
    """What became of records in the line.

    Attributes:
        seconds: from the first wave to the last.
        rejected: records that would be dead letters, and why the first of them is one.
    """

    records: int
    seconds: float
    stages: Stages
    rejected: int
    why: str | None

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


def records_of(values: Sequence[bytes]) -> list[Record]:
    """Make records of values."""
    return [Record(*_PLACE, number, 0, None, value) for number, value in enumerate(values)]


def passed(
    topology: Topology, assembly: Assembly, preparer: CostedPreparer, values: Sequence[bytes]
) -> Passed:
    """Send records through the line's stages, up to their encoded answers."""
    stages = Stages()
    encoder = Encoder(topology)
    layout = [*working_stages(preparer, assembly.steps), Stage("encode", encoder.encoded)]
    pace = pace_of(topology.wave, assembly.kind)
    began = perf_counter()
    feed, threads, tail = run_line(layout, capacity=1, observe=stages.observe)
    feeding = Thread(
        target=_feed,
        args=(feed, assembly, waves_of(topology, preparer, values, pace)),
        name="feed",
        daemon=True,
    )
    feeding.start()
    letters, left = Letters(), len(values)
    for wave in tail:
        left -= len(wave.items)
        pace.left(len(wave.items), backlog=True, behind=left)
        letters.look(wave)
        assembly.models.leave(wave)
    seconds = perf_counter() - began
    for thread in threads:
        if thread.error is not None:
            raise thread.error
    return Passed(len(values), seconds, stages, letters.count, letters.why)


def inputs_of(
    assembly: Assembly, preparer: CostedPreparer, topology: Topology, values: Sequence[bytes]
) -> tuple[dict[str, list[ModelInput]], Passed]:
    """Run records one wave after the other; give each step's inputs, and the time of it all."""
    values = values[: _SAMPLED[assembly.kind]]
    found: dict[str, list[ModelInput]] = {step.name: [] for step in assembly.steps}
    began = perf_counter()
    letters = Letters()
    for wave in waves_of(topology, preparer, values):
        assembly.enter(wave)
        preparer.prepare(wave, wave.items)
        for step in assembly.steps:
            work = step.begin(wave)
            found[step.name] += [part.given for part in work.parts]
            step.finish(work)
        letters.look(wave)
        assembly.models.leave(wave)
    seconds = perf_counter() - began
    return found, Passed(len(values), seconds, Stages(), letters.count, letters.why)


def waves_of(
    topology: Topology,
    preparer: CostedPreparer,
    values: Sequence[bytes],
    pace: Pace | None = None,
) -> Iterator[Wave]:
    """Cut waves as the consume loop does under backlog."""
    pace = pace or Pace(topology.wave.max_records)
    gatherer = Gatherer(topology.wave, preparer.costs, lambda: pace.records)
    gatherer.add(_PLACE, 0, records_of(values))
    while gatherer.records:
        yield gatherer.cut(_BUDGET)


def _feed(feed: Channel[Wave], assembly: Assembly, waves: Iterator[Wave]) -> None:
    with suppress(Closed):  # a stage has failed; whoever reads the tail raises its error
        for wave in waves:
            feed.put(assembly.enter(wave))
    feed.close()
