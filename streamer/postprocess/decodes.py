"""How detectors write boxes: each decoding gives candidates above a threshold, batch-wide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.models.manifest import Output
from streamer.postprocess.arrays import Floats, as_floats, finite_rows

Size = tuple[int, int]
_MAX_EXPONENT = 20.0


@dataclass(frozen=True)
class Candidates:
    """Boxes of a whole batch that reach the threshold.

    Attributes:
        rows: [K] which item each belongs to.
        boxes: [K, 4] xmin, ymin, xmax, ymax in pixels of the model's input.
        scores: [K].
        labels: [K].
        finite: by item, whether its outputs were all numbers.
    """

    rows: NDArray[np.int64]
    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]
    finite: NDArray[np.bool_]


def grid_candidates(value: Any, output: Output, threshold: float, size: Size) -> Candidates:
    """Read `yolox`, `yolov5` and `yolov8` outputs.

    The best label of each anchor counts. An anchor's score is no higher than its objectness, so
    that only the few anchors above the threshold are looked at further.

    Args:
        value: the output.
        output: how it is to be read.
        threshold: lowest score.
        size: (height, width) of the model's input, for YOLOX's grid.
    """
    values = as_floats(value, output)
    finite = finite_rows(values)
    if not finite.all():
        values = np.where(finite[:, None, None], values, 0)
    if output.decode == "yolov8":
        best = values[:, 4:].max(axis=1)
        rows, anchors = np.nonzero(best >= threshold)
        found = values[rows, :, anchors]
        scores, labels = best[rows, anchors], found[:, 4:].argmax(axis=1)
    else:
        rows, anchors = np.nonzero(values[:, :, 4] >= threshold)
        found = values[rows, anchors]
        labels = found[:, 5:].argmax(axis=1)
        scores = found[np.arange(len(found)), labels + 5] * found[:, 4]
    boxes = found[:, :4]
    if output.decode == "yolox":
        boxes = _yolox_boxes(boxes, anchors, values.shape[1], size, output.strides)
    high = scores >= threshold
    return Candidates(
        rows[high], corners(boxes[high], "cxcywh"), scores[high], labels[high], finite
    )


def listed_candidates(value: Any, output: Output, threshold: float, size: Size) -> Candidates:
    """Read `detections`: [N, M, 6] of box, score, label; rows below the threshold are filling."""
    values = as_floats(value, output)
    values = values[None] if values.ndim == 2 else values  # noqa: PLR2004 - without a batch
    finite = finite_rows(values)
    good = (values[:, :, 4] >= threshold) & (values[:, :, 4] > 0) & finite[:, None]
    rows, places = np.nonzero(good)
    found = values[rows, places]
    boxes = _scaled(corners(found[:, :4], output.box), output, size)
    return Candidates(rows, boxes, found[:, 4], found[:, 5].astype(np.int64), finite)


def headed_candidates(
    outputs: Mapping[str, Any],
    heads: Mapping[str, tuple[str, Output]],
    threshold: float,
    size: Size,
    shift: int,
) -> Candidates:
    """Read `boxes` with `scores`, and `labels` and `count` where there are such.

    Args:
        outputs: the model's outputs.
        heads: by decoding, name and description of the output.
        threshold: lowest score.
        size: (height, width) of the model's input.
        shift: what is taken off a label's index (1 where id2label leaves out the background).
    """
    boxes = _with_batch(_head(outputs, heads, "boxes"), 3)
    finite = finite_rows(boxes)
    given = _head(outputs, heads, "scores")
    if "labels" in heads:
        scores = _with_batch(given, 2).reshape(boxes.shape[:2])
        labels = _with_batch(_head(outputs, heads, "labels"), 2).reshape(boxes.shape[:2])
    elif given.ndim >= boxes.ndim or given.shape[-1:] != boxes.shape[1:2]:
        given = _with_batch(given, 3)
        first = 1 if heads["scores"][1].background else 0
        labels = given[:, :, first:].argmax(axis=2) + first - shift
        scores = given[:, :, first:].max(axis=2)
    else:
        scores = _with_batch(given, 2)
        labels = np.zeros_like(scores)
    finite = finite & finite_rows(scores)
    good = (scores >= threshold) & (scores > 0) & finite[:, None]
    if "count" in heads:
        counts = np.asarray(outputs[heads["count"][0]]).reshape(-1, 1)
        good &= np.arange(good.shape[1]) < counts
    rows, places = np.nonzero(good)
    output = heads["boxes"][1]
    found = _scaled(corners(boxes[rows, places], output.box), output, size)
    return Candidates(
        rows, found, scores[rows, places], labels[rows, places].astype(np.int64), finite
    )


def corners(boxes: Floats, order: str) -> Floats:
    """Turn boxes of any order into xmin, ymin, xmax, ymax."""
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    begin = boxes[:, :2] - boxes[:, 2:] / 2 if order == "cxcywh" else boxes[:, :2]
    return np.concatenate([begin, begin + boxes[:, 2:]], axis=1)


def _yolox_boxes(
    boxes: Floats,
    anchors: NDArray[np.int64],
    count: int,
    size: Size,
    strides: Sequence[int],
) -> Floats:
    """Undo YOLOX's grid: centres in cells from the anchor's own, sides as logarithms."""
    cells = _grid(size, tuple(strides))
    if len(cells) != count:
        raise ModelError(
            f"strides {list(strides)} make {len(cells)} anchors of an input of "
            f"{size[0]}x{size[1]}, but the output has {count}"
        )
    cell = cells[anchors]
    stride = cell[:, 2:]
    centres = (boxes[:, :2] + cell[:, :2]) * stride
    sides = np.exp(np.minimum(boxes[:, 2:], np.float32(_MAX_EXPONENT))) * stride
    return np.concatenate([centres, sides], axis=1)


@lru_cache(maxsize=16)
def _grid(size: Size, strides: tuple[int, ...]) -> Floats:
    """List x, y (in cells) and stride of every anchor, stride by stride, row by row."""
    levels = []
    for stride in strides:
        ys, xs = np.mgrid[: size[0] // stride, : size[1] // stride]
        side = np.full(xs.size, stride)
        levels.append(np.stack([xs.ravel(), ys.ravel(), side], axis=1))
    return np.concatenate(levels).astype(np.float32)


def _scaled(boxes: Floats, output: Output, size: Size) -> Floats:
    if not output.normalized:
        return boxes
    height, width = size
    return boxes * np.array([width, height, width, height], dtype=np.float32)


def _head(
    outputs: Mapping[str, Any], heads: Mapping[str, tuple[str, Output]], decode: str
) -> Floats:
    name, output = heads[decode]
    return as_floats(outputs[name], output)


def _with_batch(array: Floats, rank: int) -> Floats:
    """Add the batch to outputs of models that take one picture and leave it out."""
    return array[None] if array.ndim == rank - 1 else array
