"""Turns: one system alone on the machine, with the records of one benchmark."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from confluent_kafka import KafkaException
from kafka.errors import KafkaError

from benchmarks import inputs
from benchmarks.kafka import Arrivals, Kafka
from benchmarks.results import Figures, Results, Turn, load
from benchmarks.systems import Child, System, cpu_s

_LOOK_EVERY_S = 0.5
_ALONE_S = 240.0
FAILURES = (TimeoutError, KafkaException, KafkaError, subprocess.SubprocessError)
"""What ends a turn, and not the run."""
_CHANCES = 2
"""A system that failed so often has no further turns."""


@dataclass(frozen=True)
class Run:
    """What one run of the benchmarks is told.

    Attributes:
        rounds: how often each system has its turn.
        peer_rounds: how often the peers have theirs.
        scale: records, as a multiple.
        only: systems that take part; all if there are none.
        models: folder of the models.
    """

    results: Results
    rounds: int
    peer_rounds: int
    scale: float
    only: frozenset[str]
    models: Path

    def count(self, records: int) -> int:
        """Give so many records, scaled."""
        return max(int(records * self.scale), 50)

    def model(self, name: str) -> str:
        """Give a model's folder.

        Raises:
            SystemExit: it has not been made.
        """
        folder = (self.models / name).absolute()
        if not folder.exists():
            message = f"{folder} is not there: python -m benchmarks.models {name}"
            raise SystemExit(message)
        return str(folder)

    def has(self, name: str) -> bool:
        """Say whether a model has been made; tell how if it has not."""
        made = (self.models / name).exists()
        if not made:
            say(f"without {name}: python -m benchmarks.models {name}")
        return made

    def chosen(self, systems: Iterable[System]) -> list[System]:
        """Leave out systems that are not to take part."""
        return [one for one in systems if not self.only or one.name in self.only]

    def part(self, system: System, turn: Callable[[int], Turn]) -> "Part":
        """Give a system's part in the rounds."""
        return Part(system.name, turn, self.peer_rounds if system.role == "peer" else self.rounds)


def alone(module: str, *arguments: str) -> Any:
    """Run a loop in memory, in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=_ALONE_S)  # noqa: S603 - ours
    return json.loads(done.stdout)


@contextmanager
def on_topics(kafka: Kafka, tag: str) -> Iterator[tuple[str, str]]:
    """Give a source and a sink of their own; they are deleted afterwards."""
    tag = re.sub(r"[^\w.-]+", "-", f"{tag}.{time.time():.0f}")
    source, sink = kafka.topic(f"{tag}.in"), kafka.topic(f"{tag}.out")
    try:
        yield source, sink
    finally:
        kafka.drop(source, sink)


class Measured:
    """One turn of a backlog: when answers came, and what they took."""

    def __init__(self, arrivals: Arrivals, cpu: float, broker_cpu: float, sizes: list[int]) -> None:
        self.arrivals = arrivals
        self.sizes = sizes
        self._each = 1000 / len(arrivals.times)
        self._cpu, self._broker_cpu = cpu, broker_cpu

    def figures(self) -> Turn:
        """Give what goes into the table."""
        return {
            "rate": self.arrivals.rate(),
            "cpu_ms": self._cpu * self._each,
            "broker_cpu_ms": self._broker_cpu * self._each,
            "memory_mib": max(self.sizes, default=0) / 2**20,
        }


def worked_off(kafka: Kafka, system: System, values: Sequence[bytes], tag: str) -> Measured:
    """Let a system answer records that lie in its topic before it starts, if it reads those.

    Raises:
        TimeoutError: it does not answer all of them.
    """
    form = system.form
    records = [form.value(value) for value in values]
    with on_topics(kafka, tag) as (source, sink):

        def fill() -> None:
            kafka.fill(source, records, inputs.keys(len(values)), form.headers)

        if form.backlog:
            fill()
        with system.running(kafka.servers, source, sink) as child, _sized(child) as sizes:
            own, broker, used = child.cpu_s(), cpu_s(kafka.process), [0.0, 0.0]

            def answered() -> None:
                used[:] = child.cpu_s() - own, cpu_s(kafka.process) - broker

            if not form.backlog:
                fill()
            arrivals = kafka.arrivals(sink, len(values), child.ended, answered)
    return Measured(arrivals, *used, sizes)


@contextmanager
def _sized(child: Child) -> Iterator[list[int]]:
    """Note a system's resident memory while it works."""
    sizes: list[int] = []
    over = Event()

    def look() -> None:
        while not over.wait(_LOOK_EVERY_S):
            sizes.append(child.memory())
        sizes.append(child.memory())

    looking = Thread(target=look, daemon=True)
    looking.start()
    try:
        yield sizes
    finally:
        over.set()
        looking.join()


@dataclass(frozen=True)
class Part:
    """One system's part in the rounds: what its turn is, and in how many rounds it has one."""

    name: str
    turn: Callable[[int], Turn]
    rounds: int


def rounds(run: Run, name: str, parts: Sequence[Part]) -> Figures:
    """Let systems take turns, in the opposite order in every second round.

    One that fails is said to have failed; if it does so again it has no further turns. When the
    run is interrupted, the rounds so far count.
    """
    figures = run.results.of(name)
    first = figures.rounds()
    for part in parts:
        figures.turns.setdefault(part.name, {})
    try:
        for number in range(max((part.rounds for part in parts), default=0)):
            for part in parts[:: -1 if number % 2 else 1]:
                if number < part.rounds and len(figures.failed.get(part.name, ())) < _CHANCES:
                    _taken(run, name, first + number, part)
    except KeyboardInterrupt:
        run.results.interrupted = True  # also one that no signal brought
        say("interrupted: what was measured is kept")
    return figures


def _taken(run: Run, name: str, number: int, part: Part) -> None:
    """Let a system have its turn, and keep its figures."""
    before, began = load(), time.monotonic()
    try:
        found = part.turn(number)
    except FAILURES as error:
        if run.results.interrupted:  # by a signal: what ended the turn is how it was cleared away
            raise KeyboardInterrupt from error
        why = f"round {number + 1}: {error}"
        run.results.of(name).failed.setdefault(part.name, []).append(why)
        say(f"{name} {part.name} FAILED: {error}")
        return
    turn = {**found, "load": before, "seconds": round(time.monotonic() - began, 1)}
    run.results.add(name, part.name, number, turn)
    shown = ", ".join(f"{key} {value:,.4g}" for key, value in found.items())
    say(f"{name} {number + 1} {part.name}: {shown}; {turn['seconds']:.0f} s")


def backlogs(
    run: Run,
    name: str,
    systems: Iterable[System],
    values: Sequence[bytes],
    raw: Sequence[str] = (),
) -> Figures:
    """Let systems work off backlogs; `raw` names the loop in memory that goes with them."""
    plans: list[str] = []

    def in_memory(_number: int) -> Turn:
        found = alone(*raw, *plans)
        plans[:] = [found["plan"]]
        return {"rate": found["rate"], "cpu_ms": found["cpu_ms"]}

    with Kafka() as kafka:
        parts: list[Part] = []
        if raw and (not run.only or "raw" in run.only):
            parts.append(Part("raw", in_memory, run.rounds))

        def turn_of(system: System) -> Callable[[int], Turn]:
            return lambda number: worked_off(
                kafka, system, values, f"{name}.{system.name}.{number}"
            ).figures()

        parts += [run.part(system, turn_of(system)) for system in run.chosen(systems)]
        figures = rounds(run, name, parts)
    figures.notes["records"] = len(values)
    if plans:
        figures.notes["raw plan"] = plans[0]
    return figures


def say(line: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} load {load():.1f} {line}\n")
