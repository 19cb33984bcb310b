"""Whether values that a model really gave can be what its manifest says they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.models import Version
from streamer.models.manifest import Output

_SLACK = 1e-3
_FEW = 2
_SCORES = ("probabilities", "scores", "objectness", "heatmap")
_GRIDS = ("yolov5", "yolov8")
_RANK_OF_GRID = 3
_FEWEST_NUMBERS = 40
_INSIDE, _BEYOND = 0.5, 4.0
"""The farthest middle of a box: of fractions about 1, of pixels about a side."""
_FIRST_SCORE = {"yolox": 4, "yolov5": 4}


def check_values(version: Version, name: str, value: NDArray[Any]) -> None:
    """Look for a softmax or sigmoid that is there and not told, or told and not there.

    Raises:
        ModelError: the scores would be answered wrongly; says what to write.
    """
    output = version.manifest.outputs[name]
    values = _dequantised(value, output)
    if values is None or not np.isfinite(values).all():
        return
    key = f"outputs.{name}"
    if output.decode == "logits" and _softmax_follows(version) and _are_shares(values):
        raise ModelError(
            f"{key}: the model's softmax is inside already (its values are between 0 and 1 and "
            "make 1 in all): write decode: probabilities"
        )
    _check_places(key, output, values)
    scores = _scores_of(version, output, values)
    if scores is None or not scores.size:
        return
    low, high = float(scores.min()), float(scores.max())
    if low < -_SLACK or high > 1 + _SLACK:
        instead = {
            "probabilities": "write decode: logits",
            "yolox": "export the model with its sigmoid",
            "yolov5": "export the model with its sigmoid",
            "yolov8": "export the model with its sigmoid",
        }.get(output.decode, "write activation: sigmoid or softmax")
        raise ModelError(
            f"{key}: '{output.decode}' holds scores between 0 and 1, but the model gave "
            f"{low:.3g} to {high:.3g}: {instead}"
        )


def _check_places(key: str, output: Output, values: NDArray[np.float32]) -> None:
    """Look whether the boxes of a grid are pixels or fractions: they lie all over the picture."""
    if output.decode not in _GRIDS or values.ndim != _RANK_OF_GRID or not values.size:
        return
    centres = values[:, :2] if output.decode == "yolov8" else values[..., :2]
    if centres.size < _FEWEST_NUMBERS:
        return
    farthest = float(centres.max())
    if not output.normalized and _INSIDE < farthest < _BEYOND:
        raise ModelError(
            f"{key}: all boxes lie within {farthest:.3g} pixels of the corner: they are fractions "
            "of the picture; write normalized: true"
        )
    if output.normalized and farthest > _BEYOND:
        raise ModelError(
            f"{key}: boxes lie up to {farthest:.3g} pictures away from the corner: they are "
            "pixels; leave out normalized"
        )


def _dequantised(value: NDArray[Any], output: Output) -> NDArray[np.float32] | None:
    if value.dtype.kind not in "fiu":
        return None
    values = value.astype(np.float32)
    if output.scale is not None:
        return (values - np.float32(output.zero_point)) * np.float32(output.scale)
    return values if value.dtype.kind == "f" else None


def _softmax_follows(version: Version) -> bool:
    manifest = version.manifest
    single = manifest.problem_type in (None, "single_label_classification")
    chosen = manifest.postprocess.function_to_apply
    return chosen == "softmax" or (chosen is None and single)


def _are_shares(values: NDArray[np.float32]) -> bool:
    """Whether every row is a set of shares of 1."""
    if values.ndim != _FEW or values.shape[1] < _FEW:
        return False
    sums = values.sum(axis=1)
    return bool(values.min() >= 0 and np.all(np.abs(sums - 1) < _SLACK))


def _scores_of(
    version: Version, output: Output, values: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Give the part of an output that is answered as scores without further ado."""
    if version.manifest.problem_type == "regression":
        return None
    if output.decode in _SCORES:
        applied = output.activation or ("sigmoid" if output.decode == "heatmap" else "none")
        if output.decode == "probabilities" and version.manifest.postprocess.function_to_apply:
            return None
        return values if applied == "none" else None
    if output.decode == "yolov8":
        return values[:, 4:]
    if output.decode in _FIRST_SCORE:
        return values[..., _FIRST_SCORE[output.decode] :]
    return None
