"""Outputs that belong to the same boxes, brought into one shape: [items, boxes, …]."""

from collections.abc import Sequence
from typing import NamedTuple

from streamer.errors import ModelError
from streamer.postprocess.arrays import Floats
from streamer.postprocess.candidates import Head

_RANK_OF_GRID = 4
_BOX = 4


class Shape(NamedTuple):
    """Items of the batch, and boxes of each by level."""

    items: int
    counts: tuple[int, ...]

    @property
    def places(self) -> int:
        """Boxes of an item."""
        return sum(self.counts)


def boxes_of(values: Floats, head: Head, items: int) -> Floats:
    """Give one level as [N, A, 4]: of [N, A, 4], [A, 4], or a grid of them."""
    name, output = head
    if values.ndim == _RANK_OF_GRID and values.shape[1] == _BOX * output.per_cell:
        values = values.transpose(0, 2, 3, 1)
    if values.ndim == 2 and items == 1:  # noqa: PLR2004 - without a batch
        values = values[None]
    if len(values) != items or values.ndim < 3 or values.size % _BOX:  # noqa: PLR2004
        raise ModelError(f"output '{name}' has shape {values.shape}: no boxes of {items} pictures")
    return values.reshape(items, values.size // (_BOX * items), _BOX)


def beside(values: Floats, head: Head, items: int, count: int) -> Floats:
    """Bring what belongs to boxes into the shape [N, A, …], whichever axis is theirs."""
    if values.size == items * count:
        return values.reshape(items, count, 1)
    several = (values.ndim == 2 and items == 1) or (values.ndim > 2 and len(values) == items)  # noqa: PLR2004
    if several and count and values.size % (items * count) == 0:
        if values.ndim == _RANK_OF_GRID and values.shape[2] * values.shape[3] in {
            count,
            count // head[1].per_cell,
        }:
            return values.transpose(0, 2, 3, 1).reshape(items, count, -1)
        if values.shape[-2] == count:
            return values.reshape(items, count, -1)
        if values.shape[-1] == count:
            return values.reshape(items, -1, count).transpose(0, 2, 1)
    raise unlike(head[0], values.shape, (items, count))


def labels_last(values: Floats, shape: Shape) -> Floats:
    """Turn [N, labels, A] round."""
    if values.size % (shape.items * shape.places or 1) or values.shape[-1] != shape.places:
        raise unlike("scores", values.shape, (shape.items, shape.places))
    return values.reshape(shape.items, -1, shape.places).transpose(0, 2, 1)


def unlike(name: str, shape: Sequence[int], places: Sequence[int]) -> ModelError:
    """Make the error of an output that belongs to other boxes."""
    return ModelError(
        f"output '{name}' has shape {tuple(shape)}, which does not go with {places[1]} boxes of "
        f"{places[0]} picture(s)"
    )
