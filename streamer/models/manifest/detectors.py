"""How detectors write boxes."""

from typing import Annotated, Literal

from pydantic import Field

from streamer.config.section import Section
from streamer.models.manifest.values import Positive

DetectorDecode = Literal[
    "yolox",
    "yolov5",
    "yolov8",
    "yolov2",
    "yolov3",
    "yolov5-raw",
    "detections",
    "boxes",
    "scores",
    "detr",
    "detr-sigmoid",
    "ssd",
    "objectness",
    "labels",
    "count",
    "indices",
    "landmarks",
    "priors",
    "heatmap",
    "sizes",
    "offsets",
]
Column = Literal["box", "score", "label", "image", "skip"]
Pair = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class DetectorOutput(Section):
    """What is known of an output with boxes, or with something that belongs to them.

    decode:
        yolox                      [N, A, 5 + labels] raw grid with `strides`
        yolov5                     [N, A, 5 + labels], boxes cx cy w h in pixels of the input
        yolov8                     [N, 4 + labels, A], the same boxes, no objectness
        yolov2, yolov3, yolov5-raw a raw grid with `anchors`, an output a level
        detections                 [N, M, 6]: xmin ymin xmax ymax score label, NMS done
        boxes, scores, labels, count, indices   heads in several tensors
        detr, detr-sigmoid, ssd    class logits in the place of scores
        objectness, landmarks, priors   what else stands beside boxes and scores
        heatmap, sizes, offsets    centre heads
    """

    strides: tuple[Positive, ...] = (8, 16, 32)
    """Of a grid whose levels are in one tensor."""
    stride: Positive | None = None
    """Of a grid whose levels are in a tensor each: those of one decoding, joined by stride."""
    box: Literal["xyxy", "cxcywh", "xywh", "yxyx", "ltrb", "yolox", "ssd"] | None = None
    """Order of a box's numbers, or how they are coded: distances from a grid's points (`ltrb`),
    offsets in a grid (`yolox`), offsets from priors (`ssd`)."""
    normalized: bool | None = None
    """Whether boxes are fractions of a picture, not pixels."""
    frame: Literal["input", "original"] = "input"
    """Whether boxes lie in the model's input or in the original picture."""
    background: bool | Literal["first", "last"] = False
    """Whether a label of `scores` or `logits` stands for nothing; true is the first."""
    activation: Literal["none", "sigmoid", "softmax"] | None = None
    """What makes scores of what the output holds."""
    select: Literal["best", "pairs"] | None = None
    """Whether a box has its best label alone, or one object for each label that it reaches."""
    columns: tuple[Column, ...] = ("box", "score", "label")
    """What the numbers of a detection are, in order."""
    anchors: tuple[Pair, ...] | None = None
    """Width and height of each anchor: pixels of the input; for `yolov2`, cells."""
    scale_xy: Annotated[float, Field(ge=1)] = 1.0
    """How far a centre may leave its cell (YOLOv4: 1.2, 1.1 and 1.05)."""
    per_cell: Positive = 1
    """Boxes at each point of a grid."""
    cell_point: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Where a cell's point lies in it, for `ltrb`."""
    min_sizes: tuple[tuple[Positive, ...], ...] | None = None
    """Priors made here: by stride, sides of the squares at each point."""
    variances: Pair = (0.1, 0.2)
    """Factors of offsets from priors: of centres, of sides."""
    combine: Literal["product", "geometric-mean"] = "product"
    """Of `objectness`: how it makes a score of a label's."""
