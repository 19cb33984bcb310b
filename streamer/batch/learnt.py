"""How large batches are best, learnt from how long they take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

_LINE_S = 0.0002
"""What the line itself spends on a batch: futures, results, metrics."""
_LITTLE = 0.05
"""A run whose fixed share is no larger than this is large enough."""
_DEARER = 1.3
"""Unless its items take so much longer than those of half its size."""
_UNTRIED = 4
"""Times the largest batch tried that may be concluded from the smaller ones."""
_MOST_ITEMS = 256
_TIMES = 3
_NOTHING = 1e-6


@dataclass(frozen=True)
class Learnt:
    """What a model's batches cost on a device.

    Attributes:
        items: items from which on larger batches gain nothing.
        cost: their cost, in tokens or pixels.
        overhead: what a run costs besides its items, in the same unit.
        sessions: how many are to share the device, where another number than usual is faster.
    """

    items: int
    cost: int
    overhead: int
    sessions: int | None = None


def learnt(
    seconds_of: Callable[[int], float],
    cost_each: int,
    *,
    most: int | None,
    budget_s: float,
    clock: Callable[[], float] = perf_counter,
) -> Learnt:
    """Time batches of doubling size, as long as the time allows.

    Args:
        seconds_of: runs a batch of so many items, tells how long it took; of the processor's time,
            it may be, which a model that waits for something takes little of.
        cost_each: the cost of one of these items.
        most: items that the model takes at the most; None for any number.
        budget_s: seconds to spend, by either; the size that would exceed them is not tried.
        clock: monotonic seconds; passed in by tests.
    """
    took: dict[int, float] = {}
    spent, size = 0.0, 1
    began = before = after = clock()
    while size <= (most or _MOST_ITEMS):
        last = max(took.values(), default=0.0)
        if took and max(spent + _TIMES * last, after - began + (after - before)) > budget_s:
            break
        before = clock()
        tries = [seconds_of(size) + _LINE_S for _ in range(_TIMES)]
        after = clock()
        spent += sum(tries)
        if took and min(tries) > 2 * _DEARER * last:
            most = size // 2  # more than the caches hold
            break
        took[size] = min(tries)
        size *= 2
    fixed, each = _line_through(took)
    large = max(took)
    items = 1
    while fixed > _LITTLE * items * each and items < min(_UNTRIED * large, most or _MOST_ITEMS):
        items *= 2
    return Learnt(items, items * cost_each, round(fixed * cost_each / each))


def _line_through(took: Mapping[int, float]) -> tuple[float, float]:
    """Fit seconds = fixed + items x each, relative errors squared; neither is below zero."""
    weights = {size: 1 / seconds**2 for size, seconds in took.items()}
    total = sum(weights.values())
    mean_size = sum(weights[size] * size for size in took) / total
    mean_took = sum(weights[size] * seconds for size, seconds in took.items()) / total
    spread = sum(weights[size] * (size - mean_size) ** 2 for size in took)
    together = sum(
        weights[size] * (size - mean_size) * (seconds - mean_took) for size, seconds in took.items()
    )
    each = together / spread if spread else 0.0
    if each <= 0:  # one size only, or nothing but overhead
        return (0.0, took[1]) if len(took) == 1 else (mean_took, mean_took * _NOTHING)
    fixed = mean_took - each * mean_size
    return (fixed, each) if fixed > 0 else (0.0, min(took[size] / size for size in took))
