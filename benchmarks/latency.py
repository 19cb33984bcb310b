"""Latency: from the producer's send to the arrival at a reader of committed records."""

import math
import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from threading import Event, Thread
from typing import Any, Self

from benchmarks import inputs
from benchmarks.backlogs import texts_of
from benchmarks.kafka import Kafka
from benchmarks.results import Turn
from benchmarks.systems import Child, Script, Streamer, System, exactly_once_peers, peers
from benchmarks.turns import FAILURES, Part, Run, alone, on_topics, rounds, say, worked_off

_CAPACITY_RECORDS = 600
_SECONDS = 40
_WARM = 20
_IDLE_RECORDS = 60
_IDLE_S = 0.25
_PATIENCE_S = 60.0
_SHARE = 0.5
"""Of the slowest peer's capacity: what all systems are sent."""


class Answers:
    """A reader that notes when each answer arrived, by its record's key."""

    def __init__(self, kafka: Kafka, sink: str) -> None:
        self.arrived: dict[bytes, float] = {}
        self.came = Event()
        self._over = Event()
        self._reader = kafka.reader(sink)
        self._thread = Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.poll(200)  # its first look at the topic takes longer than later ones
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self._reader.close()

    def _read(self) -> None:
        while not self._over.is_set():
            for records in self._reader.poll(200).values():
                now = time.perf_counter()
                for record in records:
                    self.arrived.setdefault(bytes(record.key or b""), now)
                self.came.set()

    def wait(self, keys: Sequence[bytes], child: Child) -> None:
        """Wait until all of some keys are here.

        Raises:
            TimeoutError: they do not come.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while missing := sum(key not in self.arrived for key in keys):
            if child.ended() or time.monotonic() > deadline:
                message = f"{missing} of {len(keys)} answers did not come"
                raise TimeoutError(message)
            self.came.wait(0.05)
            self.came.clear()


def waited(
    kafka: Kafka, system: System, values: Sequence[bytes], pauses: Sequence[float], tag: str
) -> list[float]:
    """Send records at their times; give seconds until each one's answer.

    Args:
        kafka: where.
        system: who answers.
        values: the records, the first of which only warm it up.
        pauses: seconds before each record; a negative one waits for the answer before, too.
        tag: of the topics.

    Raises:
        TimeoutError: some are not answered.
    """
    keys = [b"%d" % number for number in range(len(values))]
    records = [system.form.value(value) for value in values]
    sent: dict[bytes, float] = {}
    with (
        on_topics(kafka, tag) as (source, sink),
        system.running(kafka.servers, source, sink) as child,
        Answers(kafka, sink) as answers,
        kafka.producer() as producer,
    ):

        def send(number: int) -> None:
            sent[keys[number]] = time.perf_counter()
            headers = list(system.form.headers)
            producer.send(source, records[number], keys[number], headers=headers)

        for number in range(_WARM):
            send(number)
            answers.wait(keys[number : number + 1], child)
        due = time.perf_counter()
        for number, pause in enumerate(pauses[_WARM:], _WARM):
            if pause < 0:
                answers.wait(keys[number - 1 : number], child)
                due = time.perf_counter()
            due += abs(pause)
            time.sleep(max(due - time.perf_counter(), 0))
            send(number)
        answers.wait(keys, child)
    return [answers.arrived[key] - sent[key] for key in keys[_WARM:]]


def at_share(found: Sequence[float], share: float) -> float:
    """Give the value that so large a share of the values does not exceed."""
    return sorted(found)[max(math.ceil(share * len(found)) - 1, 0)]


def _told(seconds: Sequence[float]) -> Turn:
    return {"p50_ms": at_share(seconds, 0.5) * 1000, "p99_ms": at_share(seconds, 0.99) * 1000}


def latency(run: Run) -> None:
    """All systems at half of what the slowest peer can do, records at random times."""
    model = run.model("minilm")
    texts = texts_of(run)
    # records that follow each other closely are not to wait for a transaction with more in it
    sure_texts = {**texts, "delivery": "exactly-once", "commit_interval": "10ms"}
    exactly = run.chosen(_over_both("streamer", sure_texts))
    at_least = run.chosen(_over_both("streamer at-least-once", texts))
    others = run.chosen(peers(f"texts:{model}"))
    sure = run.chosen(exactly_once_peers(f"texts:{model}"))
    with Kafka() as kafka:
        rate = _SHARE * _slowest(run, kafka, others)
        chance = random.Random(0)
        count = _WARM + max(int(rate * _SECONDS * run.scale), 30)
        pauses = [chance.expovariate(rate) for _ in range(count)]
        values = inputs.texts(count, seed=2)

        def turn_of(system: System) -> Callable[[int], Turn]:
            return lambda number: _told(
                waited(kafka, system, values, pauses, f"latency.{system.name}.{number}")
            )

        systems = [*exactly, *at_least, *others, *sure]
        parts = [run.part(one, turn_of(one)) for one in systems]
        figures = rounds(run, "latency", parts)
    figures.notes["records"] = f"{count - _WARM:,} at {rate:,.1f}/s"
    figures.notes["records a second"] = rate
    for own, rivals in ((at_least, others), (exactly, sure)):  # of the same guarantee
        p99 = {rival.name: figures.median(rival.name, "p99_ms") for rival in rivals}
        known = {name: value for name, value in p99.items() if value is not None}
        best = min(known, key=lambda name: known[name], default="")
        for one in own:
            ratios = figures.ratios(one.name, best, "p99_ms")
            figures.ask(f"p99 of {one.name} ÷ the best peer's ({best})", ratios, "<= 1")


def _over_both(name: str, topology: dict[str, Any]) -> list[System]:
    """Give streamer over either client."""
    other = Streamer(f"{name}, librdkafka", topology, client="librdkafka")
    return [Streamer(name, topology), other]


def _slowest(run: Run, kafka: Kafka, systems: Sequence[System]) -> float:
    """Give the least rate of some systems at a backlog: as `text` found it, or measured now."""
    values = inputs.texts(run.count(_CAPACITY_RECORDS))
    known = run.results.known("text", "rate")
    rates = {}
    for system in systems:
        if system.name in known:
            rates[system.name] = known[system.name]
            continue
        try:
            found = worked_off(kafka, system, values, f"capacity.{system.name}").figures()
        except FAILURES as error:
            say(f"capacity of {system.name} FAILED: {error}")
            continue
        rates[system.name] = found["rate"]
        say(f"capacity of {system.name}: {found['rate']:,.0f}/s")
    run.results.of("latency").notes["capacities"] = rates
    return min(rates.values(), default=60.0)


def idle(run: Run) -> None:
    """One record at a time: what an answer takes beyond the run of the model alone."""
    model = run.model("minilm")
    values = inputs.texts(_WARM + max(int(_IDLE_RECORDS * run.scale), 10), seed=3)
    pauses = [-_IDLE_S] * len(values)
    systems: list[System] = [
        Streamer("streamer at-least-once", texts_of(run)),
        Streamer("streamer", texts_of(run), delivery="exactly-once"),
        Script("bare loop", "bare.py", role="floor"),
        *peers(f"texts:{model}"),
    ]
    with Kafka() as kafka:
        alone_s: list[float] = []

        def raw(_number: int) -> Turn:
            told = alone("raw_single", model, str(len(values)), "3", str(_IDLE_S))
            alone_s[:] = told["seconds"][_WARM:]
            return _told(alone_s)

        def turn_of(system: System) -> Callable[[int], Turn]:
            def turn(number: int) -> Turn:
                if not alone_s:
                    raw(number)
                found = waited(kafka, system, values, pauses, f"idle.{system.name}.{number}")
                beyond = [one - own for one, own in zip(found, alone_s, strict=True)]
                return _told(found) | {"beyond_raw_ms": median(beyond) * 1000}

            return turn

        parts = [run.part(one, turn_of(one)) for one in run.chosen(systems)]
        figures = rounds(run, "idle", [Part("raw run", raw, run.rounds), *parts])
    figures.notes["records"] = len(values) - _WARM
    for name, bar in (("streamer at-least-once", 15), ("streamer", 30)):
        beyond = figures.values(name, "beyond_raw_ms")
        figures.ask(f"{name}: ms beyond the raw run, idle", beyond, f"<= {bar}")
