"""Object detection: candidates above the threshold, suppressed, put back onto the original."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.models.manifest import Manifest, Nms, Output
from streamer.postprocess.arrays import Floats, OnePart, non_finite
from streamer.postprocess.decodes import (
    Candidates,
    grid_candidates,
    headed_candidates,
    listed_candidates,
)
from streamer.postprocess.nms import kept
from streamer.records import Geometry, ModelInput

_THRESHOLD = 0.5
_GRIDS = ("yolox", "yolov5", "yolov8")
_HEADS = ("boxes", "scores", "labels", "count")


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
        self._heads = _heads(manifest)
        raw = any(decode in _GRIDS for decode in self._heads)
        self._nms = own.nms or (Nms() if raw else None)
        self._top_k = top_k or own.top_k or (self._nms or Nms()).max_detections

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each picture's objects; see `Interpreter.interpret`."""
        found = self._candidates(outputs, inputs)
        if len(found.finite) != len(inputs):
            raise ModelError(f"{len(found.finite)} rows came out of a batch of {len(inputs)}")
        # candidates come ordered by row
        edges = np.searchsorted(found.rows, np.arange(len(inputs) + 1))
        name = next(iter(self._heads.values()))[0]
        return [
            self._objects(found, slice(edges[row], edges[row + 1]), _geometry(given))
            if found.finite[row]
            else non_finite(name)
            for row, given in enumerate(inputs)
        ]

    def _candidates(self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]) -> Candidates:
        size = _geometry(inputs[0]).model
        decode, (name, output) = next(iter(self._heads.items()))
        if decode in _GRIDS:
            return grid_candidates(outputs[name], output, self._threshold, size)
        if decode == "detections":
            return listed_candidates(outputs[name], output, self._threshold, size)
        shift = self._background_shift(outputs)
        return headed_candidates(outputs, self._heads, self._threshold, size, shift)

    def _background_shift(self, outputs: Mapping[str, Any]) -> int:
        """Tell whether `id2label` begins behind the background that `scores` begin with."""
        name, output = self._heads["scores"]
        left_out = np.shape(outputs[name])[-1] == len(self._manifest.id2label) + 1
        return int(output.background and left_out)

    def _objects(self, found: Candidates, of: slice, geometry: Geometry) -> Found:
        boxes, scores, labels = found.boxes[of], found.scores[of], found.labels[of]
        order = self._chosen(boxes, scores, labels)
        boxes = original(boxes[order], geometry)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, order = boxes[seen], order[seen]
        pixels = np.rint(boxes).astype(np.int64).tolist()
        objects = [
            {
                "label": self._manifest.id2label.get(label, f"LABEL_{label}"),
                "score": score,
                "box": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
            }
            for label, score, (xmin, ymin, xmax, ymax) in zip(
                labels[order].tolist(), scores[order].tolist(), pixels, strict=True
            )
        ]
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
    scale = np.array([geometry.scale_x, geometry.scale_y] * 2)
    pad = np.array([geometry.pad_left, geometry.pad_top] * 2)
    mapped = (boxes - pad) / scale
    clipped: Floats = np.clip(mapped, 0, [width, height, width, height]).astype(np.float32)
    return clipped


def _geometry(given: ModelInput) -> Geometry:
    if not isinstance(given.context, Geometry):
        raise ModelError("object-detection needs pictures that know their geometry")
    return given.context


def _heads(manifest: Manifest) -> dict[str, tuple[str, Output]]:
    """Sort the outputs by what they are decoded as."""
    heads: dict[str, tuple[str, Output]] = {}
    for name, output in manifest.outputs.items():
        if output.decode == "ignore":
            continue
        if output.decode in heads:
            raise ConfigError(
                f"model '{manifest.name}': outputs '{heads[output.decode][0]}' and '{name}' are "
                f"both decode: {output.decode}; set one to decode: ignore"
            )
        heads[output.decode] = (name, output)
    single = len(heads) == 1 and next(iter(heads)) in (*_GRIDS, "detections")
    several = {"boxes", "scores"} <= heads.keys() <= set(_HEADS)
    if not single and not several:
        raise ConfigError(
            f"model '{manifest.name}': object-detection needs one output with decode: yolox, "
            "yolov5, yolov8 or detections, or boxes and scores (with labels and count, where "
            f"there are such); outputs has {', '.join(heads) or 'none'}"
        )
    return heads
