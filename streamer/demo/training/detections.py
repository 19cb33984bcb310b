"""Detections out of the detector's answer, and how good they are (numpy only)."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

IOU = 0.5
_SCORE = 0.01
_NMS = 0.5


def decoded(answer: Floats, side: int, strides: Sequence[int]) -> Floats:
    """Turn one picture's raw answer into detections, suppressed label by label.

    Args:
        answer: float32 [cells, 5 + labels], YOLOX's raw grid.
        side: edge of the model's input in pixels.
        strides: of its levels.

    Returns:
        float32 [detections, 6]: xmin, ymin, xmax, ymax, score, label.
    """
    grids = []
    for stride in strides:
        rows, columns = np.divmod(np.arange((side // stride) ** 2), side // stride)
        grids.append(np.stack([columns, rows, np.full(len(rows), stride)], axis=1))
    grid = np.concatenate(grids).astype(np.float32)
    centre = (answer[:, :2] + grid[:, :2]) * grid[:, 2:]
    size = np.exp(answer[:, 2:4]) * grid[:, 2:]
    scores = answer[:, 4:5] * answer[:, 5:]
    cell, label = np.nonzero(scores > _SCORE)
    low = (centre - size / 2)[cell]
    rows_ = np.concatenate([low, low + size[cell], scores[cell, label][:, None], label[:, None]], 1)
    kept: list[Floats] = []
    for one in np.unique(label):
        mine = rows_[label == one]
        xywh = np.concatenate([mine[:, :2], mine[:, 2:4] - mine[:, :2]], axis=1)
        index = cv2.dnn.NMSBoxes(xywh.tolist(), mine[:, 4].tolist(), _SCORE, _NMS)
        kept.append(mine[np.asarray(index, np.int64).reshape(-1)])
    return np.concatenate(kept).astype(np.float32) if kept else np.zeros((0, 6), np.float32)


def _overlaps(box: Floats, others: Floats) -> Floats:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:4], others[:, 2:4])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (others[:, 2:4] - others[:, :2]).prod(1)
    result: Floats = shared / ((box[2:4] - box[:2]).prod() + areas - shared)
    return result


def average_precision(
    found: Sequence[Floats],
    signs: Sequence[Floats],
    label: int,
    sizes: tuple[float, float] = (0.0, np.inf),
) -> float:
    """Give a label's AP at IoU 0.5: the area under the whole precision envelope.

    Args:
        found: the detections of each scene.
        signs: the signs of each scene, float32 [signs, 5].
        label: which label.
        sizes: signs whose longer edge lies outside this range, from and below, are no misses, nor
            are detections that match them or, matching none, are themselves outside.

    Returns:
        0..1; NaN where no sign has the label.
    """
    ranked = sorted(
        ((i, row) for i, rows in enumerate(found) for row in rows[rows[:, 5] == label]),
        key=lambda pair: -pair[1][4],
    )
    mine = [rows[rows[:, 4] == label] for rows in signs]
    edges = [(rows[:, 2:4] - rows[:, :2]).max(1, initial=0) for rows in mine]
    counted = [(edge >= sizes[0]) & (edge < sizes[1]) for edge in edges]
    total = sum(int(c.sum()) for c in counted)
    taken = [np.zeros(len(rows), bool) for rows in mine]
    hits: list[bool] = []
    for scene, row in ranked:
        overlaps = np.where(taken[scene], 0, _overlaps(row, mine[scene]))
        best = int(np.argmax(overlaps)) if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= IOU:
            taken[scene][best] = True
            if counted[scene][best]:
                hits.append(True)
        elif sizes[0] <= max(row[2] - row[0], row[3] - row[1]) < sizes[1]:
            hits.append(False)
    if not total:
        return float("nan")
    correct = np.cumsum(hits, dtype=np.float64)
    precision = correct / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(envelope * np.diff(correct, prepend=0)) / total)


def mean_average_precision(
    found: Sequence[Floats],
    signs: Sequence[Floats],
    labels: int,
    sizes: tuple[float, float] = (0.0, np.inf),
) -> float:
    """Give the mean of the labels' APs."""
    return float(
        np.nanmean([average_precision(found, signs, label, sizes) for label in range(labels)])
    )
