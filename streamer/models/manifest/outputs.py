"""How a model's outputs are read, and what makes answers of them."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from streamer import plugins
from streamer.config.section import Section
from streamer.models.manifest.detectors import DetectorDecode, DetectorOutput
from streamer.models.manifest.values import Positive


def _or_plugged(value: Any, builtin: ValidatorFunctionWrapHandler) -> Any:
    """Take the name of a plug-in's decoding, too."""
    try:
        return builtin(value)
    except ValidationError:
        if isinstance(value, str) and value in plugins.known(plugins.DECODERS):
            return value
        raise


class Output(DetectorOutput):
    """How one output tensor is read.

    decode:
        logits, probabilities      [N, labels]; label: [N] names from the graph itself; ignore
        logits                     [N, L, labels] for token-classification
        tokens                     [N, L] ids of a text that the model wrote
        embedding                  [N, L, D] or [N, D], with `pooling`
        score                      [N] or [N, 1], a similarity or regression
        yolox, boxes, detr, …      of detectors, see `DetectorOutput`
        raw                        as it is, for the task of a plug-in
    """

    decode: Annotated[
        Literal[
            DetectorDecode,
            "logits",
            "probabilities",
            "label",
            "tokens",
            "embedding",
            "score",
            "raw",
            "ignore",
        ],
        WrapValidator(_or_plugged),
    ]
    pooling: Literal["mean", "cls", "none"] | None = None
    normalize: bool = False
    """Of `embedding`: whether vectors are answered at length 1."""
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
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple"
    """Of token-classification, as transformers' pipeline names them: tokens alone, neighbours of
    one label together, or whole words by their first, average or surest token."""
    ignore_labels: tuple[str, ...] = ("O",)
    """Of token-classification: labels that are no entity."""
    candidate_labels: tuple[str, ...] = ()
    """Of zero-shot-classification: the labels to choose from."""
    hypothesis_template: Annotated[str, Field(pattern=r"\{\}")] = "This example is {}."
    """Of zero-shot-classification: the sentence that is held to be true or not of a text; the
    label stands for {}."""
    multi_label: bool = False
    """Of zero-shot-classification: whether several labels may hold at once."""
