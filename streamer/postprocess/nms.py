"""Non-maximum suppression: of boxes that overlap, the best one stays."""

import numpy as np
from numpy.typing import NDArray

from streamer.models.manifest import Nms
from streamer.postprocess.arrays import Floats

_MAX_CANDIDATES = 30_000
_BLOCK = 512


def kept(
    boxes: Floats,
    scores: Floats,
    labels: NDArray[np.int64],
    nms: Nms,
    limit: int,
) -> NDArray[np.int64]:
    """Choose boxes greedily, best first.

    Works through the candidates in blocks: a block is compared with all that was chosen before,
    then with itself, each in one go; boxes are looked at one by one only where some overlap.

    Args:
        boxes: [M, 4] xmin, ymin, xmax, ymax.
        scores: [M].
        labels: [M].
        nms: a box that overlaps a better one (with `per_class`: one of its own label) by more
            than `iou` goes.
        limit: as soon as so many are chosen, the rest goes.

    Returns:
        Indices of those that stay, best first; equal scores in their order.
    """
    order = np.argsort(-scores, kind="stable")[:_MAX_CANDIDATES]
    chosen = np.empty(0, dtype=np.int64)
    for begin in range(0, len(order), _BLOCK):
        block = order[begin : begin + _BLOCK]
        if len(chosen):
            beaten = _overlaps(boxes, labels, (chosen, block), nms)
            block = block[~beaten.any(axis=0)]
        beaten = np.triu(_overlaps(boxes, labels, (block, block), nms), k=1)
        alive = np.ones(len(block), dtype=np.bool_)
        for better in np.flatnonzero(beaten.any(axis=1)).tolist():
            if alive[better]:
                alive[beaten[better]] = False
        chosen = np.concatenate([chosen, block[alive]])
        if len(chosen) >= limit:
            break
    return chosen[:limit]


def _overlaps(
    boxes: Floats,
    labels: NDArray[np.int64],
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
    nms: Nms,
) -> NDArray[np.bool_]:
    """Tell which boxes of the first set drive out which of the second: [first, second]."""
    first, second = pair
    one, other = boxes[first][:, None], boxes[second][None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    sides = np.maximum(sides, 0)
    common = sides[..., 0] * sides[..., 1]
    # as a product: no division by the area of nothing
    overlaps = common > nms.iou * (_areas(one) + _areas(other) - common)
    if nms.per_class:
        overlaps &= labels[first][:, None] == labels[second][None]
    return np.asarray(overlaps, dtype=np.bool_)


def _areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    areas: Floats = sides[..., 0] * sides[..., 1]
    return areas
