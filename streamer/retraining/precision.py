"""Average precision of boxes at IoU 0.5, and what each picture adds to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.retraining.marks import Figures
from streamer.retraining.truth import box_of, name_of

IOU = 0.5
Objects = Sequence[Mapping[str, Any]]


class Precision:
    """Answers of one version on pictures, matched with what is right.

    Args:
        answers: objects with label, score and box, of each picture; None where there is no answer.
        right: the objects that are there.
        labels: those that count.
    """

    def __init__(
        self, answers: Sequence[Objects | None], right: Sequence[Objects], labels: Sequence[str]
    ) -> None:
        self._count = len(right)
        self._matched = {label: _matched(answers, right, label) for label in labels}

    def of(self, label: str) -> Figures:
        """Give pseudo-values of a label's average precision: one a picture."""
        hits, pictures, totals = self._matched[label]
        whole = _area(hits, int(totals.sum()))
        found = np.full(self._count, whole)
        for picture in np.union1d(pictures, np.flatnonzero(totals)).astype(int):
            without = _area(hits[pictures != picture], int(totals.sum() - totals[picture]))
            found[picture] = self._count * whole - (self._count - 1) * without
        shifted: Figures = found - found.mean() + whole
        return shifted

    @property
    def mean(self) -> Figures:
        """Give pseudo-values of the mean over labels."""
        if not self._matched:
            return np.zeros(self._count)
        found: Figures = np.mean([self.of(label) for label in self._matched], axis=0)
        return found


def overlap(one: Sequence[float], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the intersection over union of a box with others, corners in pixels."""
    box = np.asarray(one, np.float64)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    found: NDArray[np.float64] = shared / np.maximum(
        (box[2:] - box[:2]).prod() + areas - shared, 1e-9
    )
    return found


def found_in(answer: Objects, wanted: Mapping[str, Any]) -> bool:
    """Tell whether an answer has an object of this label and about this box."""
    same = [box_of(one) for one in answer if name_of(one) == name_of(wanted)]
    return bool(same) and bool((overlap(box_of(wanted), np.array(same, np.float64)) >= IOU).any())


def _matched(
    answers: Sequence[Objects | None], right: Sequence[Objects], label: str
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Match best scores first; give hits and pictures by falling score, and totals."""
    scores, hits, pictures = [], [], []
    totals = np.zeros(len(right), np.int64)
    for picture, (answer, there) in enumerate(zip(answers, right, strict=True)):
        boxes = np.array([box_of(one) for one in there if name_of(one) == label], np.float64)
        totals[picture] = len(boxes)
        taken = np.zeros(len(boxes), bool)
        mine = [one for one in answer or () if name_of(one) == label]
        for one in sorted(mine, key=lambda entry: -entry["score"]):
            hit = False
            if len(boxes):
                overlaps = np.where(taken, 0.0, overlap(box_of(one), boxes))
                best = int(overlaps.argmax())
                hit = bool(overlaps[best] >= IOU)
                taken[best] |= hit
            scores.append(one["score"])
            hits.append(hit)
            pictures.append(picture)
    order = np.argsort(-np.array(scores, np.float64), kind="stable")
    return (
        np.array(hits, bool)[order],
        np.array(pictures, np.int64)[order],
        totals,
    )


def _area(hits: NDArray[np.bool_], total: int) -> float:
    """Give the area under the precision envelope; 0 where there is nothing to find."""
    if not total or not len(hits):
        return 0.0
    right = np.cumsum(hits, dtype=np.float64)
    precision = right / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * np.diff(right, prepend=0)).sum() / total)
