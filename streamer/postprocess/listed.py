"""`detections`: rows with everything that is known of an object, suppressed in the graph."""

import numpy as np

from streamer.errors import ConfigError
from streamer.models.manifest import Output
from streamer.postprocess.arrays import Floats
from streamer.postprocess.candidates import Candidates, Geometries, Head, Ints, Outputs, floats_of
from streamer.postprocess.coding import corners, placed_boxes

_BOX = 4


class Listed:
    """[N, M, width], or [M, width] where a column says which picture a row belongs to."""

    raw = False

    def __init__(self, head: Head, count: Head | None, model: str) -> None:
        name, output = head
        for column in ("box", "score", "label"):
            if output.columns.count(column) != 1:
                raise ConfigError(
                    f"model '{model}': outputs.{name}.columns: {column} must stand in it once, as "
                    "in columns: [label, score, box]"
                )
        self._head = head
        self._count = count
        self._at = _offsets(output)

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """See `Reader.read`; rows below the threshold are filling."""
        output = self._head[1]
        values = floats_of(outputs, self._head)
        values = values.reshape(-1, values.shape[-1])
        rows = self._rows(outputs, values, len(geometries))
        whole = np.isfinite(values).all(axis=1)
        finite = np.ones(len(geometries), dtype=np.bool_)
        finite[rows[~whole & (rows >= 0)]] = False
        scores = values[:, self._at["score"]]
        good = whole & (scores >= threshold) & (scores > 0) & (rows >= 0)
        rows, values, scores = rows[good], values[good], scores[good]
        order = np.argsort(rows, kind="stable")
        rows, values, scores = rows[order], values[order], scores[order]
        begin = self._at["box"]
        boxes = corners(values[:, begin : begin + _BOX], output.box or "xyxy")
        boxes = placed_boxes(
            boxes,
            rows,
            geometries,
            normalized=bool(output.normalized),
            original=output.frame == "original",
        )
        labels = values[:, self._at["label"]].astype(np.int64) - int(output.background is True)
        return Candidates(rows, boxes, scores, labels, finite)

    def _rows(self, outputs: Outputs, values: Floats, items: int) -> Ints:
        """Tell which picture each row is of; -1 for none."""
        if "image" in self._at:
            told = np.nan_to_num(values[:, self._at["image"]], nan=-1).astype(np.int64)
            return np.where((told >= 0) & (told < items), told, -1)
        if self._count is not None:
            counts = floats_of(outputs, self._count).astype(np.int64).ravel()[:items]
            if counts.sum() == len(values):
                return np.repeat(np.arange(len(counts)), counts)
            each = len(values) // items
            rows = np.repeat(np.arange(items), each)
            return np.where(np.tile(np.arange(each), items) < counts[rows], rows, -1)
        return np.repeat(np.arange(items), len(values) // items)


def _offsets(output: Output) -> dict[str, int]:
    offsets: dict[str, int] = {}
    at = 0
    for column in output.columns:
        offsets[column] = at
        at += _BOX if column == "box" else 1
    return offsets
