"""What a model's sessions reach on prepared inputs: in memory, sorted, with the best settings."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter

from streamer.batch import BatchBounds, planned
from streamer.config.topology import ModelRef
from streamer.infer import Session
from streamer.pipeline.model import ModelVersion, open_sessions
from streamer.records import ModelInput
from streamer.runtime import usable_cores

_ITEMS = (1, 4, 8, 16, 32, 64, 128)
_MOST_COST = 32 * 640 * 640
"""Pixels of a batch (no texts have so many tokens): larger ones gain nothing, and fill memory."""
_WORSE = 0.85
"""Larger batches are not tried once one is this much slower than the best so far."""


@dataclass(frozen=True)
class Plan:
    """How a model is run, and what that gives.

    Attributes:
        items: of a batch at the most.
        sessions: how many run at once.
        threads: of each session.
        rate: items a second.
    """

    items: int
    sessions: int
    threads: int
    rate: float

    def __str__(self) -> str:
        sessions = f"{self.sessions} session{'s' if self.sessions > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"batches of {self.items}, {sessions} of {threads}"


def best_plan(
    version: ModelVersion,
    ref: ModelRef,
    inputs: Sequence[ModelInput],
    seconds: float,
    clock: Callable[[], float] = perf_counter,
) -> Plan:
    """Try sessions, threads and sizes of batches; what the topology fixes stays as it is.

    Args:
        version: the model, whose preprocessing puts batches together.
        ref: how the topology runs it.
        inputs: what it is fed with, prepared.
        seconds: to be spent on it, roughly.
        clock: seconds; passed in by tests.
    """
    shares = _shares(version, ref)
    best: Plan | None = None
    for sessions, threads in shares:
        with _opened(version, ref, sessions, threads) as opened:
            each = seconds / len(shares) / len(_ITEMS)
            found = _best_size(version, opened, inputs, threads, each, clock)
        if best is None or found.rate > best.rate:
            best = found
    assert best is not None  # noqa: S101 - there is at least one share
    return best


def rate_of(
    version: ModelVersion,
    sessions: Sequence[Session],
    inputs: Sequence[ModelInput],
    items: int,
    clock: Callable[[], float] = perf_counter,
) -> float:
    """Run inputs, sorted by length over all of them; give items a second."""
    batches = planned(inputs, BatchBounds(items, _MOST_COST))
    free: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        free.put(session)

    def run(batch: list[int]) -> None:
        session = free.get()
        try:
            version.run(session, [inputs[at] for at in batch])
        finally:
            free.put(session)

    began = clock()
    if len(sessions) == 1:
        for batch in batches:
            run(batch)
    else:
        with ThreadPoolExecutor(len(sessions)) as pool:
            list(pool.map(run, batches))
    return len(inputs) / max(clock() - began, 1e-9)


def _best_size(  # noqa: PLR0913, PLR0917 - what is tried, and for how long
    version: ModelVersion,
    sessions: Sequence[Session],
    inputs: Sequence[ModelInput],
    threads: int,
    seconds: float,
    clock: Callable[[], float],
) -> Plan:
    most = sessions[0].max_batch or _ITEMS[-1]
    fitting = max(_MOST_COST // max(max(one.cost, one.length, 1) for one in inputs), 1)
    first = list(inputs[: 2 * len(sessions)])
    rate_of(version, sessions, first, 1)  # the first runs allocate
    pace = rate_of(version, sessions, first, 1, clock)
    best = Plan(1, len(sessions), threads, 0.0)
    for items in [size for size in sorted({*_ITEMS, most}) if size <= min(most, fitting)]:
        count = max(int(pace * seconds), 2 * items * len(sessions))
        chosen = [inputs[at % len(inputs)] for at in range(count)]
        pace = rate_of(version, sessions, chosen, items, clock)
        if pace > best.rate:
            best = Plan(items, len(sessions), threads, pace)
        elif pace < _WORSE * best.rate:
            break
    return best


def _shares(version: ModelVersion, ref: ModelRef) -> list[tuple[int, int]]:
    """Give the (sessions, threads) worth trying: all cores in either way, or what is fixed."""
    now = len(version.sessions)
    cores = usable_cores()
    if version.sessions[0].device != "cpu" or ref.sessions != "auto" or ref.threads != "auto":
        threads = max(cores // now, 1) if ref.threads == "auto" else ref.threads
        return [(now, threads)]
    return sorted({(now, max(cores // now, 1)), (1, cores)}, reverse=True)


@contextmanager
def _opened(
    version: ModelVersion, ref: ModelRef, sessions: int, threads: int
) -> Iterator[Sequence[Session]]:
    """Open sessions beside those that serve, unless these are the same ones."""
    if sessions == len(version.sessions):
        yield version.sessions
        return
    fixed = ref.model_copy(update={"sessions": sessions, "threads": threads})
    opened = open_sessions(version.version, fixed)
    try:
        yield opened
    finally:
        for session in opened:
            session.close()
