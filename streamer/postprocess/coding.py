"""How four numbers make a box: orders of corners, offsets in grids and from priors."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from streamer.postprocess.arrays import Floats
from streamer.postprocess.candidates import Geometries, Ints

Size = tuple[int, int]
_MAX_EXPONENT = np.float32(20.0)


def corners(boxes: Floats, order: str) -> Floats:
    """Turn boxes [K, 4] of any order into xmin, ymin, xmax, ymax."""
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    begin = boxes[:, :2] - boxes[:, 2:] / 2 if order == "cxcywh" else boxes[:, :2]
    return np.concatenate([begin, begin + boxes[:, 2:]], axis=1)


def exp(values: Floats) -> Floats:
    """Give e to the power of values, those of made-up inputs kept from overflowing."""
    return np.exp(np.minimum(values, _MAX_EXPONENT))


@lru_cache(maxsize=32)
def cells(size: Size, strides: tuple[int, ...], per_cell: int = 1) -> Floats:
    """List x, y (in cells) and stride of every place, stride by stride, row by row."""
    levels = []
    for stride in strides:
        ys, xs = np.mgrid[: size[0] // stride, : size[1] // stride]
        side = np.full(xs.size, stride)
        levels.append(np.stack([xs.ravel(), ys.ravel(), side], axis=1).repeat(per_cell, axis=0))
    return np.concatenate(levels).astype(np.float32)


@lru_cache(maxsize=32)
def priors(size: Size, strides: tuple[int, ...], min_sizes: tuple[tuple[int, ...], ...]) -> Floats:
    """List the priors of SSD's face detectors: cx, cy, w, h as fractions of the input.

    At the middle of each cell stands a square for each of the stride's sides (RetinaFace,
    layers/functions/prior_box.py).
    """
    height, width = size
    levels = []
    for stride, sides in zip(strides, min_sizes, strict=True):
        ys, xs = np.mgrid[: -(-height // stride), : -(-width // stride)]
        middles = np.stack([xs.ravel() + 0.5, ys.ravel() + 0.5], axis=1) * stride
        squares = np.array([[side, side] for side in sides])
        centres = middles.repeat(len(sides), axis=0)
        levels.append(np.concatenate([centres, np.tile(squares, (len(middles), 1))], axis=1))
    return (np.concatenate(levels) / [width, height, width, height]).astype(np.float32)


def from_grid(values: Floats, places: Floats) -> Floats:
    """Undo YOLOX's coding: centres in cells from a cell's corner, sides as logarithms."""
    stride = places[:, 2:]
    centres = (values[:, :2] + places[:, :2]) * stride
    return corners(np.concatenate([centres, exp(values[:, 2:]) * stride], axis=1), "cxcywh")


def from_distances(values: Floats, places: Floats, cell_point: float) -> Floats:
    """Undo FCOS's coding: distances, in cells, of the four sides from a point."""
    stride = places[:, 2:]
    points = (places[:, :2] + np.float32(cell_point)) * stride
    return np.concatenate(
        [points - values[:, :2] * stride, points + values[:, 2:] * stride], axis=1
    )


def from_priors(values: Floats, near: Floats, variances: Sequence[float]) -> Floats:
    """Undo SSD's coding: offsets of centre and sides from a prior."""
    centres = near[:, :2] + values[:, :2] * np.float32(variances[0]) * near[:, 2:]
    sides = near[:, 2:] * exp(values[:, 2:] * np.float32(variances[1]))
    return corners(np.concatenate([centres, sides], axis=1), "cxcywh")


def placed(
    points: Floats, rows: Ints, geometries: Geometries, *, normalized: bool, original: bool
) -> Floats:
    """Bring points to pixels of the model's input.

    Args:
        points: [K, P, 2] x and y.
        rows: [K] the item that each belongs to.
        geometries: of the items.
        normalized: whether they are fractions.
        original: whether they lie in the original picture, not in the input.
    """
    if not len(points) or not (normalized or original):
        return points
    if normalized:
        sides = [given.original if original else given.model for given in geometries]
        points = points * np.array(sides, dtype=np.float32)[rows, None, ::-1]
    if original:
        scales = [(given.scale_x, given.scale_y) for given in geometries]
        pads = [(given.pad_left, given.pad_top) for given in geometries]
        scale, pad = np.array(scales)[rows, None], np.array(pads)[rows, None]
        points = (points * scale + pad).astype(np.float32)
    return points


def placed_boxes(
    boxes: Floats, rows: Ints, geometries: Geometries, *, normalized: bool, original: bool
) -> Floats:
    """Do the same for boxes [K, 4]."""
    points = boxes.reshape(-1, 2, 2)
    return placed(points, rows, geometries, normalized=normalized, original=original).reshape(-1, 4)
