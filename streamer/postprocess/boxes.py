"""Object detection: candidates above the threshold, suppressed, put back onto the original."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.models.manifest import Manifest, Nms
from streamer.postprocess.arrays import Floats, OnePart, non_finite
from streamer.postprocess.candidates import Candidates
from streamer.postprocess.nms import kept
from streamer.postprocess.readers import reader_for
from streamer.records import Geometry, ModelInput

_THRESHOLD = 0.5


class Found(list[dict[str, Any]]):
    """Objects as they are published; `boxes` has the same ones unrounded, for cutting crops.

    Attributes:
        boxes: float32 [M, 4] xmin, ymin, xmax, ymax in pixels of the original picture.
    """

    boxes: Floats

    def __init__(self, objects: Sequence[dict[str, Any]], boxes: Floats) -> None:
        super().__init__(objects)
        self.boxes = boxes


class Boxes(OnePart):
    """Objects with label, score and box, best first."""

    def __init__(
        self, manifest: Manifest, *, threshold: float | None = None, top_k: int | None = None
    ) -> None:
        own = manifest.postprocess
        self._manifest = manifest
        self._threshold = next(
            value for value in (threshold, own.threshold, _THRESHOLD) if value is not None
        )
        self._reader = reader_for(manifest)
        self._nms = own.nms or (Nms() if self._reader.raw else None)
        self._top_k = top_k or own.top_k or (self._nms or Nms()).max_detections

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each picture's objects; see `Interpreter.interpret`."""
        geometries = [_geometry(given) for given in inputs]
        found = self._reader.read(outputs, geometries, self._threshold)
        if len(found.finite) != len(inputs):
            raise ModelError(f"{len(found.finite)} rows came out of a batch of {len(inputs)}")
        # candidates come ordered by row
        edges = np.searchsorted(found.rows, np.arange(len(inputs) + 1))
        return [
            self._objects(found, slice(edges[row], edges[row + 1]), geometry)
            if found.finite[row]
            else non_finite(", ".join(outputs))
            for row, geometry in enumerate(geometries)
        ]

    def _objects(self, found: Candidates, of: slice, geometry: Geometry) -> Found:
        boxes, scores, labels = found.boxes[of], found.scores[of], found.labels[of]
        order = self._chosen(boxes, scores, labels)
        boxes = original(boxes[order], geometry)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, order = boxes[seen], order[seen]
        pixels = np.rint(boxes).astype(np.int64).tolist()
        objects: list[dict[str, Any]] = [
            {
                "label": self._manifest.id2label.get(label, f"LABEL_{label}"),
                "score": score,
                "box": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
            }
            for label, score, (xmin, ymin, xmax, ymax) in zip(
                labels[order].tolist(), scores[order].tolist(), pixels, strict=True
            )
        ]
        if found.landmarks is not None:
            points = np.rint(_landmarks(found.landmarks[of][order], geometry)).astype(np.int64)
            for entry, marks in zip(objects, points.tolist(), strict=True):
                entry["landmarks"] = [{"x": x, "y": y} for x, y in marks]
        return Found(objects, boxes)

    def _chosen(
        self, boxes: Floats, scores: Floats, labels: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        if self._nms is None:
            return np.argsort(-scores, kind="stable")[: self._top_k]
        limit = min(self._nms.max_detections, self._top_k)
        return kept(boxes, scores, labels, self._nms, limit)


def original(boxes: Floats, geometry: Geometry) -> Floats:
    """Map boxes from the model's input onto the original picture, clipped to it."""
    height, width = geometry.original
    mapped = _landmarks(boxes.reshape(-1, 2, 2), geometry).reshape(-1, 4)
    clipped: Floats = np.clip(mapped, 0, [width, height, width, height]).astype(np.float32)
    return clipped


def _landmarks(points: Floats, geometry: Geometry) -> Floats:
    """Map points [K, P, 2] from the model's input onto the original picture's plane."""
    scale = np.array([geometry.scale_x, geometry.scale_y])
    pad = np.array([geometry.pad_left, geometry.pad_top])
    mapped: Floats = (points - pad) / scale
    return mapped


def _geometry(given: ModelInput) -> Geometry:
    if not isinstance(given.context, Geometry):
        raise ModelError("object-detection needs pictures that know their geometry")
    return given.context
