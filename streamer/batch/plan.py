"""Items into batches: like with like, under a bound of items and of cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.records import ModelInput


@dataclass(frozen=True)
class BatchBounds:
    """What a batch holds at the most.

    Attributes:
        items: items.
        cost: their cost, padding included: tokens of the longest text times the items, or pixels.
            A single item passes whatever it costs.
        one_length: whether a batch holds items of one length only, so that nothing is padded.
    """

    items: int
    cost: int
    one_length: bool = False


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
        batch: list[int] = []
        cost_each = 0
        for index in indices:
            one = inputs[index]
            # sorted by falling length, so the first of a batch is what the others are padded to
            cost_each = cost_each if batch else max(one.cost, one.length)
            full = len(batch) >= bounds.items or (len(batch) + 1) * cost_each > bounds.cost
            if batch and full:
                batches.append(batch)
                batch = []
                cost_each = max(one.cost, one.length)
            batch.append(index)
        batches.append(batch)
    return batches
