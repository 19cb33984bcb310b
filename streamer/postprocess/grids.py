"""Grids of the YOLO family: one output with all anchors, or one a level with its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.models.manifest import Output
from streamer.postprocess.arrays import Floats, finite_rows
from streamer.postprocess.candidates import (
    Candidates,
    Geometries,
    Head,
    Ints,
    Outputs,
    floats_of,
    input_size,
    zeroed,
)
from streamer.postprocess.classes import applied
from streamer.postprocess.coding import Size, cells, corners, exp, from_grid, placed_boxes

_EXTRA = 5
"""Numbers of an anchor beside its labels' scores: centre, sides, objectness."""


class Grid:
    """`yolox`, `yolov5` and `yolov8`: every anchor in one tensor.

    The best label of each anchor counts. An anchor's score is no higher than its objectness, so
    that only the few anchors above the threshold are looked at further.
    """

    raw = True

    def __init__(self, head: Head) -> None:
        self._head = head

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """See `Reader.read`."""
        output = self._head[1]
        values = floats_of(outputs, self._head)
        finite = finite_rows(values)
        values = zeroed(values, finite)
        if output.decode == "yolov8":
            best = values[:, 4:].max(axis=1)
            rows, anchors = np.nonzero(best >= threshold)
            found = values[rows, :, anchors]
            scores, labels = best[rows, anchors], found[:, 4:].argmax(axis=1)
        else:
            rows, anchors = np.nonzero(values[:, :, 4] >= threshold)
            found = values[rows, anchors]
            labels = found[:, _EXTRA:].argmax(axis=1)
            scores = found[np.arange(len(found)), labels + _EXTRA] * found[:, 4]
        if output.decode == "yolox":
            places = _checked(cells(input_size(geometries), output.strides), values, output)
            boxes = from_grid(found[:, :4], places[anchors])
        else:
            boxes = corners(found[:, :4], "cxcywh")
        fractions = bool(output.normalized)
        boxes = placed_boxes(boxes, rows, geometries, normalized=fractions, original=False)
        high = scores >= threshold
        return Candidates(rows[high], boxes[high], scores[high], labels[high], finite)


def _checked(places: Floats, values: Floats, output: Output) -> Floats:
    if len(places) != values.shape[1]:
        raise ModelError(
            f"strides {list(output.strides)} make {len(places)} anchors of the input, "
            f"but the output has {values.shape[1]}"
        )
    return places


class Anchored:
    """`yolov2`, `yolov3` and `yolov5-raw`: numbers of each anchor in each cell, undecoded.

    What the numbers mean is in the papers (YOLO9000, section 2; YOLOv3, section 2.1) and, for the
    last, in ultralytics/yolov5, models/yolo.py. YOLOv4 is `yolov3` with `scale_xy`.
    """

    raw = True

    def __init__(self, heads: Sequence[Head], labels: int, name: str) -> None:
        for tensor, output in heads:
            if not output.anchors:
                raise ConfigError(
                    f"model '{name}': outputs.{tensor}: decode: {output.decode} needs the "
                    "anchors of this level, as in anchors: [[10, 13], [16, 30], [33, 23]]"
                )
        self._heads = tuple(heads)
        self._labels = labels

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """See `Reader.read`."""
        finite = np.ones(len(geometries), dtype=np.bool_)
        levels = []
        for head in self._heads:
            values = self._arranged(floats_of(outputs, head), head)
            whole = finite_rows(values)
            finite &= whole
            levels.append(_level(zeroed(values, whole), head[1], input_size(geometries), threshold))
        rows, boxes, scores, labels = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        order = np.argsort(rows, kind="stable")
        return Candidates(rows[order], boxes[order], scores[order], labels[order], finite)

    def _arranged(self, values: Floats, head: Head) -> Floats:
        """Give [N, anchors, rows, columns, 5 + labels], whatever the order was."""
        name, output = head
        anchors = len(output.anchors or ())
        if values.ndim == 4:  # noqa: PLR2004 - anchors and numbers in one axis
            width = anchors * (self._labels + _EXTRA) if self._labels else None
            channels = 1 if values.shape[1] == (width or values.shape[1]) else 3
            if values.shape[channels] % anchors or values.shape[channels] != (
                width or values.shape[channels]
            ):
                raise _shapeless(name, values, anchors, self._labels)
            last = values if channels == 3 else values.transpose(0, 2, 3, 1)  # noqa: PLR2004
            return last.reshape(*last.shape[:3], anchors, -1).transpose(0, 3, 1, 2, 4)
        numbers = self._labels + _EXTRA if self._labels else values.shape[-1]
        if values.ndim != 5 or values.shape[-1] != numbers:  # noqa: PLR2004
            raise _shapeless(name, values, anchors, self._labels)
        if values.shape[1] == anchors:
            return values
        if values.shape[3] == anchors:
            return values.transpose(0, 3, 1, 2, 4)
        raise _shapeless(name, values, anchors, self._labels)


def _shapeless(name: str, values: Floats, anchors: int, labels: int) -> ModelError:
    return ModelError(
        f"output '{name}' has shape {values.shape}: no grid of {anchors} anchors with "
        f"5 + {labels} numbers each"
    )


def _level(
    values: Floats, output: Output, size: Size, threshold: float
) -> tuple[Ints, Floats, Floats, Ints]:
    """Give rows, boxes, scores and labels of one level."""
    objectness = _activated(values[..., 4], output, "sigmoid")
    rows, anchors, ys, xs = np.nonzero(objectness >= threshold)
    found = values[rows, anchors, ys, xs]
    certain = objectness[rows, anchors, ys, xs, None]
    default = "softmax" if output.decode == "yolov2" else "sigmoid"
    scores = _activated(found[:, _EXTRA:], output, default) * certain
    which, labels = _chosen(scores, threshold, pairs=output.select == "pairs")
    near = np.array(output.anchors, dtype=np.float32)[anchors]
    stride = np.array([size[1] / values.shape[3], size[0] / values.shape[2]], dtype=np.float32)
    boxes = _boxes(found[:, :4], np.stack([xs, ys], axis=1), near, stride, output)
    return rows[which], corners(boxes[which], "cxcywh"), scores[which, labels], labels


def _boxes(
    found: Floats, cell: NDArray[np.int64], anchors: Floats, stride: Floats, output: Output
) -> Floats:
    """Give cx, cy, w, h in pixels of the input."""
    inside = applied("sigmoid", found[:, :2])
    if output.decode == "yolov5-raw":
        centres = (inside * 2 - 0.5 + cell) * stride
        sides = (applied("sigmoid", found[:, 2:]) * 2) ** 2 * anchors
    else:
        wide = np.float32(output.scale_xy)
        centres = (inside * wide - (wide - 1) / 2 + cell) * stride
        unit = stride if output.decode == "yolov2" else np.float32(1)
        sides = exp(found[:, 2:]) * anchors * unit
    return np.concatenate([centres, sides], axis=1).astype(np.float32)


def _activated(values: Floats, output: Output, default: str) -> Floats:
    return values if output.activation == "none" else applied(default, values)


def _chosen(scores: Floats, threshold: float, *, pairs: bool) -> tuple[Ints, Ints]:
    """Choose (place, label): each label that is high enough, or only the best of a place."""
    if pairs:
        which, labels = np.nonzero(scores >= threshold)
        return which, labels
    best = scores.argmax(axis=1)
    which = np.flatnonzero(scores[np.arange(len(scores)), best] >= threshold)
    return which, best[which]
