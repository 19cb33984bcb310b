"""Items into batches: like with like, under a bound of items and of cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.records import ModelInput

_ENDLESS = 1 << 62
_WEIGHED = 64
"""Items of a batch that is weighed against smaller ones; larger ones are cut at their bounds."""


@dataclass(frozen=True)
class BatchBounds:
    """What a batch holds at the most.

    Attributes:
        items: items.
        cost: their cost, padding included: tokens of the longest text times the items, or pixels.
            A single item passes whatever it costs.
        one_length: whether a batch holds items of one length only, so that nothing is padded.
        overhead: what a run costs besides its items, as a cost: more padding than that is not
            worth saving a run. 0 if it is not known: batches are filled up to their bounds.
    """

    items: int
    cost: int
    one_length: bool = False
    overhead: int = 0


def padded_cost(inputs: Sequence[ModelInput]) -> int:
    """Give the cost of a batch: that of its costliest item, times the items."""
    return len(inputs) * max(max(one.cost, one.length) for one in inputs)


def planned(inputs: Sequence[ModelInput], bounds: BatchBounds) -> list[list[int]]:
    """Group items by shape, sort them by length, and cut batches.

    Returns:
        Batches of indices into `inputs`, each index once, the costliest batch of a group first:
        several sessions then end at about the same time.
    """
    groups: dict[object, list[int]] = {}
    for index, one in enumerate(inputs):
        length = one.length if bounds.one_length else None
        groups.setdefault((one.group, length), []).append(index)
    batches = []
    for indices in groups.values():
        indices.sort(key=lambda index: inputs[index].length, reverse=True)
        costs = [max(inputs[index].cost, inputs[index].length) for index in indices]
        mixed = inputs[indices[0]].length != inputs[indices[-1]].length
        weighed = mixed and bounds.overhead > 0 and bounds.items <= _WEIGHED
        edges = _weighed(costs, bounds) if weighed else _filled(costs, bounds)
        batches += [indices[begin:end] for begin, end in edges]
    return batches


def why_closed(inputs: Sequence[ModelInput], bounds: BatchBounds) -> str:
    """Say why a batch holds no more: `full`, `cost`, or there was no more like it in the `wave`."""
    if len(inputs) >= bounds.items:
        return "full"
    each = padded_cost(inputs) // len(inputs)
    return "cost" if (len(inputs) + 1) * each > bounds.cost else "wave"


def _filled(costs: Sequence[int], bounds: BatchBounds) -> list[tuple[int, int]]:
    """Cut where a bound is reached; the first of a batch is what the others are padded to."""
    edges, begin = [], 0
    for end in range(1, len(costs) + 1):
        size = end - begin
        full = size >= bounds.items or (size + 1) * costs[begin] > bounds.cost
        if full or end == len(costs):
            edges.append((begin, end))
            begin = end
    return edges


def _weighed(costs: Sequence[int], bounds: BatchBounds) -> list[tuple[int, int]]:
    """Cut so that padding and runs together cost the least (the shortest path over all cuts)."""
    total = len(costs)
    least = [0, *([_ENDLESS] * total)]
    before = [0] * (total + 1)
    for begin, cost in enumerate(costs):
        fitting = min(max(bounds.cost // max(cost, 1), 1), bounds.items, total - begin)
        so_far = least[begin] + bounds.overhead
        for end in range(begin + 1, begin + fitting + 1):
            so_far += cost
            if so_far < least[end]:
                least[end] = so_far
                before[end] = begin
    edges = []
    end = total
    while end:
        edges.append((before[end], end))
        end = before[end]
    return edges[::-1]
