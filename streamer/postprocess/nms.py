"""Non-maximum suppression: of boxes that overlap, the best one stays."""

import numpy as np
from numpy.typing import NDArray

from streamer.models.manifest import Nms
from streamer.postprocess.arrays import Floats

_MAX_CANDIDATES = 30_000


def kept(
    boxes: Floats,
    scores: Floats,
    labels: NDArray[np.int64],
    nms: Nms,
    limit: int,
) -> NDArray[np.int64]:
    """Choose boxes greedily, best first.

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
    boxes = boxes[order]
    labels = labels[order]
    left, top, right, bottom = boxes.T
    areas = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    alive = np.ones(len(order), dtype=np.bool_)
    chosen: list[int] = []
    for best in range(len(order)):
        if not alive[best]:
            continue
        chosen.append(best)
        if len(chosen) == limit:
            break
        rest = best + 1 + np.flatnonzero(alive[best + 1 :])
        if nms.per_class:
            rest = rest[labels[rest] == labels[best]]
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        # as a product: no division by the area of nothing
        alive[rest[common > nms.iou * (areas[best] + areas[rest] - common)]] = False
    return order[chosen]
