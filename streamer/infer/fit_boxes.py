"""Whether a detector's outputs have the shapes that its manifest's decodings read."""

from collections.abc import Iterable
from typing import Any

from streamer.errors import ModelError
from streamer.infer.session import TensorInfo
from streamer.infer.trial import picture_size
from streamer.models import Version
from streamer.models.manifest import ImageInput, Output

_SCORES = ("scores", "detr", "detr-sigmoid", "ssd")
_ANCHORED = ("yolov2", "yolov3", "yolov5-raw")
_WIDTHS = {"yolox": (2, 5), "yolov5": (2, 5), "yolov8": (1, 4)}
_RANK_OF_GRID = 4
_RANK_OF_LIST = 3
_BOX_WIDTH = 4


def check_boxes(version: Version, output: Output, info: TensorInfo) -> None:
    """Compare sides of an output with what its decoding reads.

    Raises:
        ModelError: naming the tensor, what there is and what would be right.
    """
    rank = len(info.shape or ())
    key = f"outputs.{info.name}"
    if output.decode == "yolox":
        _check_grid(version, output, info)
    elif output.decode == "detections":
        width = len(output.columns) + _BOX_WIDTH - 1
        listed = ", ".join(output.columns)
        check_side(info, -1, (width,), f"{key}: columns [{listed}] are {width} numbers a box")
    elif output.decode in _ANCHORED:
        _check_anchors(version, output, info)
    elif output.decode == "boxes" and rank < _RANK_OF_GRID:
        check_side(info, -1, (_BOX_WIDTH,), f"{key}: 'boxes' has 4 numbers a box")
    if version.manifest.id2label:
        _check_labels(version, output, info)


def _check_grid(version: Version, output: Output, info: TensorInfo) -> None:
    """Compare the number of anchors with the grid that the strides lay over the picture."""
    for tensor in version.manifest.inputs.values():
        height, width = picture_size(tensor) if isinstance(tensor, ImageInput) else (None, None)
        if height is not None and width is not None:
            anchors = sum((height // side) * (width // side) for side in output.strides)
            told = f"strides {list(output.strides)} make {anchors} anchors of {height}x{width}"
            check_side(info, 1, (anchors,), f"outputs.{info.name}: {told}")


def _check_anchors(version: Version, output: Output, info: TensorInfo) -> None:
    """Look for the axis that holds anchors and labels."""
    anchors, labels = len(output.anchors or ()), len(version.manifest.id2label)
    shape = info.shape or ()
    if not labels or None in shape[1:]:
        return
    one_axis = anchors * (labels + 5) in shape[1:]
    own_axis = shape[-1] == labels + 5 and anchors in shape[1:]
    if not (one_axis if len(shape) == _RANK_OF_GRID else own_axis):
        raise ModelError(
            f"outputs.{info.name}: {anchors} anchors and {labels} labels make "
            f"{anchors} * (5 + {labels}) numbers a cell, but the tensor is {info}"
        )


def _check_labels(version: Version, output: Output, info: TensorInfo) -> None:
    labels = len(version.manifest.id2label)
    shape = info.shape or ()
    many = f"id2label has {labels} label(s)"
    if output.decode in _WIDTHS:
        axis, extra = _WIDTHS[output.decode]
        needs = f"{many}, so that '{output.decode}' has {extra} + {labels} numbers a box"
        check_side(info, axis, (labels + extra,), needs)
    elif output.decode == "heatmap":
        check_side(info, 1, (labels,), many)
    elif output.decode in _SCORES and len(shape) == _RANK_OF_LIST:
        nothing = output.background or output.decode in ("detr", "ssd")
        right = (labels, labels + 1) if nothing else (labels,)
        if output.decode != "scores" or shape[1] not in right:  # labels may come before boxes
            check_side(info, 2, right, many)


def check_side(info: TensorInfo, axis: int, right: Iterable[Any], told: str) -> None:
    """Refuse a side that is known and not right."""
    shape = info.shape or ()
    if axis < len(shape) and shape[axis] is not None and shape[axis] not in tuple(right):
        raise ModelError(f"{told}, but the tensor is {info}")
