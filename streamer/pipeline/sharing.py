"""Which sessions share a CPU best: several of few threads, or one of all."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from streamer.infer import Session

_ROUNDS = 3
_ROUND_S = 0.1
_BETTER = 1.1
"""So much faster one session has to be, each time: a busy neighbour slows it down the most."""


def one_is_faster(
    several: Sequence[Session],
    one: Session,
    feeds: Mapping[str, NDArray[Any]],
    clock: Callable[[], float] = perf_counter,
) -> bool:
    """Run the same batch over and over, with several sessions at once and with one, in turn.

    Args:
        several: sessions that have cores of their own.
        one: a session that has all of them.
        feeds: a batch as the line makes it.
        clock: monotonic seconds; passed in by tests.
    """
    for sessions in (several, [one]):
        _rate(sessions, feeds, 0.0, clock)  # the first runs allocate
    return all(
        _rate([one], feeds, _ROUND_S, clock) > _BETTER * _rate(several, feeds, _ROUND_S, clock)
        for _ in range(_ROUNDS)
    )


def _rate(
    sessions: Sequence[Session],
    feeds: Mapping[str, NDArray[Any]],
    seconds: float,
    clock: Callable[[], float],
) -> float:
    """Give batches a second, one at least of each session."""
    began = clock()

    def run(session: Session) -> int:
        ran = 0
        while not ran or clock() - began < seconds:
            session.run(feeds)
            ran += 1
        return ran

    with ThreadPoolExecutor(len(sessions)) as pool:
        ran = sum(pool.map(run, sessions))
    return ran / max(clock() - began, 1e-9)
