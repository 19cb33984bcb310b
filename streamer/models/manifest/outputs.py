"""How a model's outputs are read, and what makes answers of them."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from streamer import plugins
from streamer.config.section import Section
from streamer.models.manifest.inputs import Positive


def _or_plugged(value: Any, builtin: ValidatorFunctionWrapHandler) -> Any:
    """Take the name of a plug-in's decoding, too."""
    try:
        return builtin(value)
    except ValidationError:
        if isinstance(value, str) and value in plugins.known(plugins.DECODERS):
            return value
        raise


class Output(Section):
    """How one output tensor is read.

    decode:
        logits, probabilities      [N, labels]; label: [N] names from the graph itself; ignore
        embedding                  [N, L, D] or [N, D], with `pooling`
        score                      [N] or [N, 1], a similarity or regression
        yolox                      [N, A, 5 + labels] raw grid with `strides`
        yolov5                     [N, A, 5 + labels], boxes cx cy w h in pixels of the input
        yolov8                     [N, 4 + labels, A], the same boxes, no objectness
        detections                 [N, M, 6]: xmin ymin xmax ymax score label, NMS done
        boxes, scores, labels, count   NMS-free or NMS-in-graph heads in several tensors
        raw                        as it is, for the task of a plug-in
    """

    decode: Annotated[
        Literal[
            "logits",
            "probabilities",
            "label",
            "embedding",
            "score",
            "yolox",
            "yolov5",
            "yolov8",
            "detections",
            "boxes",
            "scores",
            "labels",
            "count",
            "raw",
            "ignore",
        ],
        WrapValidator(_or_plugged),
    ]
    pooling: Literal["mean", "cls", "none"] | None = None
    strides: tuple[Positive, ...] = (8, 16, 32)
    box: Literal["xyxy", "cxcywh", "xywh", "yxyx"] = "xyxy"
    """Order of a box's numbers, for `boxes` and `detections`."""
    normalized: bool = False
    """Whether boxes are fractions of the model's input, not its pixels."""
    background: bool = False
    """Whether label 0 of `scores` is the background and stands for no object."""
    scale: float | None = None
    """Quantised outputs: value = (stored - zero_point) * scale."""
    zero_point: int = 0
    options: dict[str, Any] = {}
    """What a plug-in's decoding is told."""

    @property
    def plugged(self) -> bool:
        """Whether a plug-in decodes it."""
        return self.decode not in get_args(type(self).model_fields["decode"].annotation)


class Nms(Section):
    """Non-maximum suppression."""

    iou: Annotated[float, Field(gt=0, le=1)] = 0.45
    per_class: bool = True
    max_detections: Positive = 300


class Postprocess(Section):
    """From scores to answers."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    nms: Nms | None = None
    top_k: Positive | None = None
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    """What makes probabilities of logits; by `problem_type` if left out."""
