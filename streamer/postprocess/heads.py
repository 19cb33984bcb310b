"""Boxes in one tensor, scores in another, and what else stands beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
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
from streamer.postprocess.coding import (
    cells,
    corners,
    from_distances,
    from_grid,
    from_priors,
    placed,
    placed_boxes,
    priors,
)
from streamer.postprocess.shapes import Shape, beside, boxes_of, labels_last, unlike

Heads = Mapping[str, Sequence[Head]]
"""By decoding, the outputs that are read so; several are levels, by stride."""

_BOX = 4


@dataclass(frozen=True)
class _Kind:
    """What holds for a kind of scores if the manifest does not say otherwise."""

    activation: Literal["none", "sigmoid", "softmax"]
    background: Literal["first", "last"] | None
    select: Literal["best", "pairs"]
    box: str
    normalized: bool


_KINDS = {
    "scores": _Kind("none", None, "best", "xyxy", normalized=False),
    "detr": _Kind("softmax", "last", "best", "cxcywh", normalized=True),
    "detr-sigmoid": _Kind("sigmoid", None, "pairs", "cxcywh", normalized=True),
    "ssd": _Kind("softmax", "first", "best", "ssd", normalized=True),
}
KINDS_OF_SCORES = tuple(_KINDS)


class _At(NamedTuple):
    """Item and place of each candidate, and what the places' boxes are coded against."""

    rows: Ints
    places: Ints
    near: Floats | None
    geometries: Geometries


class HeadReader:
    """Reads `boxes` with scores of some kind; `labels`, `count`, `indices` and more if given."""

    def __init__(self, heads: Heads, labels: int, model: str) -> None:
        """Prepare to read.

        Args:
            heads: the outputs.
            labels: how many `id2label` has; 0 if it is left out.
            model: its name, for messages.

        Raises:
            ConfigError: something that the boxes' coding needs is missing.
        """
        self._heads = heads
        self._labels = labels
        self._scoring = next(name for name in _KINDS if name in heads)
        kind, told = _KINDS[self._scoring], heads[self._scoring][0][1]
        self._activation = told.activation or kind.activation
        self._background = (
            "first" if told.background is True else told.background or kind.background
        )
        self._select = told.select or kind.select
        self._boxes = heads["boxes"][0][1]
        self._code = self._boxes.box or kind.box
        normalized = self._boxes.normalized
        self._normalized = kind.normalized if normalized is None else normalized
        self.raw = self._code in ("ltrb", "yolox", "ssd")
        if self._code == "ssd" and "priors" not in heads and self._boxes.min_sizes is None:
            raise ConfigError(
                f"model '{model}': outputs.{heads['boxes'][0][0]}: box: ssd needs priors: an "
                "output with decode: priors, or min_sizes, as in "
                "min_sizes: [[16, 32], [64, 128], [256, 512]]"
            )

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """See `Reader.read`."""
        levels = [
            boxes_of(floats_of(outputs, head), head, len(geometries))
            for head in self._heads["boxes"]
        ]
        boxes = np.concatenate(levels, axis=1)
        shape = Shape(len(geometries), tuple(level.shape[1] for level in levels))
        scores, finite = self._scores(outputs, shape)
        finite &= finite_rows(boxes)
        rows, places, columns = self._chosen(outputs, zeroed(scores, finite), threshold, finite)
        at = _At(rows, places, self._near(geometries, outputs, shape), geometries)
        return Candidates(
            rows,
            self._decoded(boxes[rows, places], at),
            scores[rows, places, columns],
            self._named(outputs, columns, at, scores),
            finite,
            self._landmarks(outputs, shape, at),
        )

    def _joined(self, outputs: Outputs, decode: str, shape: Shape) -> Floats:
        """Give [N, A, …] of all levels."""
        heads = self._heads[decode]
        counts = shape.counts if len(heads) == len(shape.counts) else (shape.places,)
        levels = [
            beside(floats_of(outputs, head), head, shape.items, count)
            for head, count in zip(heads, counts, strict=True)
        ]
        return np.concatenate(levels, axis=1)

    def _scores(self, outputs: Outputs, shape: Shape) -> tuple[Floats, NDArray[np.bool_]]:
        """Give scores [N, A, labels] without the background, and which items are numbers."""
        if "indices" in self._heads:  # as NonMaxSuppression takes them: labels before boxes
            scores = labels_last(floats_of(outputs, self._heads[self._scoring][0]), shape)
        else:
            scores = self._joined(outputs, self._scoring, shape)
        finite = finite_rows(scores)
        scores = applied(self._activation, zeroed(scores, finite))
        if "labels" not in self._heads:
            first = int(self._background == "first")
            scores = scores[:, :, first : scores.shape[2] - int(self._background == "last")]
        if "objectness" in self._heads:
            sure = self._joined(outputs, "objectness", shape)
            told = self._heads["objectness"][0][1]
            finite &= finite_rows(sure)
            scores = scores * applied(told.activation or "none", zeroed(sure, finite))
            if told.combine == "geometric-mean":
                scores = np.sqrt(np.maximum(scores, 0))
        return scores, finite

    def _chosen(
        self,
        outputs: Outputs,
        scores: Floats,
        threshold: float,
        finite: NDArray[np.bool_],
    ) -> tuple[Ints, Ints, Ints]:
        """Choose (item, place, column of scores)."""
        if "indices" in self._heads:
            name = self._heads["indices"][0][0]
            told = np.asarray(outputs[name]).reshape(-1, 3).astype(np.int64)
            inside = (told >= 0) & (told < [scores.shape[0], scores.shape[2], scores.shape[1]])
            rows, columns, places = told[inside.all(axis=1)].T
            good = (scores[rows, places, columns] >= threshold) & finite[rows]
            order = np.argsort(rows[good], kind="stable")
            return rows[good][order], places[good][order], columns[good][order]
        good = (scores >= threshold) & (scores > 0) & finite[:, None, None]
        if "count" in self._heads:
            counts = np.asarray(outputs[self._heads["count"][0][0]]).reshape(-1, 1, 1)
            good &= np.arange(good.shape[1])[:, None] < counts
        if self._select == "best" and scores.shape[2]:
            best = scores.argmax(axis=2)
            rows, places = np.nonzero(np.take_along_axis(good, best[:, :, None], axis=2)[..., 0])
            return rows, places, best[rows, places]
        return np.nonzero(good)  # type: ignore[return-value]

    def _named(self, outputs: Outputs, columns: Ints, at: _At, scores: Floats) -> Ints:
        """Give the label's index of each candidate."""
        if "labels" in self._heads:
            name, output = self._heads["labels"][0]
            told = np.asarray(outputs[name])
            if told.size != scores.shape[0] * scores.shape[1]:
                raise unlike(name, told.shape, scores.shape[:2])
            labels = told.reshape(scores.shape[:2])[at.rows, at.places].astype(np.int64)
            return labels - int(output.background is True)
        # id2label may name a background that comes first, or leave it out
        named = self._background == "first" and self._labels != scores.shape[2]
        return columns + int(named)

    def _near(self, geometries: Geometries, outputs: Outputs, shape: Shape) -> Floats | None:
        """Give what boxes are coded against, place by place."""
        boxes, count = self._boxes, shape.places
        size = input_size(geometries)
        strides = tuple(output.stride for _, output in self._heads["boxes"] if output.stride)
        strides = strides or boxes.strides
        if self._code == "ssd":
            if "priors" in self._heads:
                head = self._heads["priors"][0]
                near = floats_of(outputs, head).reshape(-1, _BOX)[:count]
                order = head[1].box or "cxcywh"
                near = near if order == "cxcywh" else _middles(corners(near, order))
            else:
                near = priors(size, strides, boxes.min_sizes or ())
        elif self._code in ("ltrb", "yolox"):
            near = cells(size, strides, boxes.per_cell)
        else:
            return None
        if len(near) != count:
            raise ModelError(
                f"strides {list(strides)} make {len(near)} places of an input of "
                f"{size[0]}x{size[1]}, but '{self._heads['boxes'][0][0]}' has {count}"
            )
        return near

    def _decoded(self, found: Floats, at: _At) -> Floats:
        if at.near is None:
            boxes = corners(found, self._code)
        elif self._code == "ssd":
            boxes = from_priors(found, at.near[at.places], self._boxes.variances)
        elif self._code == "yolox":
            return from_grid(found, at.near[at.places])
        else:
            return from_distances(found, at.near[at.places], self._boxes.cell_point)
        original = self._boxes.frame == "original"
        return placed_boxes(
            boxes, at.rows, at.geometries, normalized=self._normalized, original=original
        )

    def _landmarks(self, outputs: Outputs, shape: Shape, at: _At) -> Floats | None:
        if "landmarks" not in self._heads:
            return None
        values = self._joined(outputs, "landmarks", shape)[at.rows, at.places]
        points = values.reshape(len(values), -1, 2)
        if at.near is not None:
            near = at.near[at.places][:, None]
            if self._code != "ssd":
                inside = np.float32(self._boxes.cell_point if self._code == "ltrb" else 0)
                return (near[..., :2] + inside + points) * near[..., 2:]
            factor = np.float32(self._boxes.variances[0])
            points = near[..., :2] + points * factor * near[..., 2:]
        own = self._heads["landmarks"][0][1]
        normalized = self._normalized if own.normalized is None else own.normalized
        original = "original" in (own.frame, self._boxes.frame)
        return placed(points, at.rows, at.geometries, normalized=normalized, original=original)


def _middles(boxes: Floats) -> Floats:
    """Turn corners into cx, cy, w, h."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
