"""`model.yaml`: what a model version is, what it is fed with and what comes out.

Keys are those of Hugging Face's `config.json` and `preprocessor_config.json` where these have one.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from streamer.config.section import Section

Resample = Literal[
    "pillow-bilinear",
    "pillow-bicubic",
    "pillow-lanczos",
    "opencv-linear",
    "opencv-area",
    "opencv-cubic",
    "opencv-nearest",
    "tf-bilinear",
]
Dtype = Literal["float32", "float16", "uint8", "int8", "int32", "int64"]
Channels3 = tuple[float, ...]
Positive = Annotated[int, Field(gt=0)]


class Size(Section):
    """Target size in pixels: both sides, or the shorter one."""

    height: Positive | None = None
    width: Positive | None = None
    shortest_edge: Positive | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        both = self.height is not None and self.width is not None
        if both == (self.shortest_edge is not None) or (self.height is None) != (
            self.width is None
        ):
            message = "write {height: H, width: W} or {shortest_edge: S}"
            raise ValueError(message)
        return self


class CropSize(Section):
    """Size of the part cut from the middle, in pixels."""

    height: Positive
    width: Positive


class ImageInput(Section):
    """A tensor that takes a picture. Values are (pixel * rescale_factor - mean) / std."""

    kind: Literal["image"]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR", "GRAY"] = "RGB"
    dtype: Dtype = "float32"
    size: Size
    resize: Literal["stretch", "letterbox", "shortest-edge", "none"] | None = None
    """`stretch` to height and width (default with both), `shortest-edge` (default with that key),
    `letterbox`: as large as fits, the rest padded."""
    resample: Resample = "opencv-linear"
    """`opencv-area` is area when shrinking and linear when enlarging."""
    pad: Literal["top-left", "center"] = "top-left"
    """Where a letterboxed picture sits (YOLOX: top-left; Ultralytics: center)."""
    pad_value: Annotated[int, Field(ge=0, le=255)] = 114
    do_center_crop: bool = False
    crop_size: CropSize | None = None
    rescale_factor: float = 1.0
    image_mean: Channels3 = (0.0, 0.0, 0.0)
    image_std: Channels3 = (1.0, 1.0, 1.0)

    @property
    def resize_rule(self) -> str:
        """The resize rule, the default resolved."""
        if self.resize is not None:
            return self.resize
        return "shortest-edge" if self.size.shortest_edge is not None else "stretch"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.do_center_crop and self.crop_size is None:
            message = "do_center_crop needs crop_size: {height: H, width: W}"
            raise ValueError(message)
        if self.resize_rule == "letterbox" and self.size.height is None:
            message = "resize: letterbox needs size: {height: H, width: W}"
            raise ValueError(message)
        count = 1 if self.channels == "GRAY" else 3
        for name, values in (("image_mean", self.image_mean), ("image_std", self.image_std)):
            if len(values) not in (1, count) and not (count == 1 and len(set(values)) == 1):
                message = f"{name} needs {count} value(s), one a channel; got {len(values)}"
                raise ValueError(message)
        if 0 in self.image_std:
            message = "image_std must not be 0"
            raise ValueError(message)
        return self


class TextInput(Section):
    """Tensors that take a text, or the text itself where the graph tokenises (string tensors)."""

    kind: Literal["text"]
    tokenizer: str | None = None
    """`tokenizer.json` beside the manifest; none for a string tensor."""
    max_length: Positive = 512
    """Tokens at the most, special ones included; the rest is cut off."""
    pair: bool = False
    """Whether two sentences go into one sequence (cross-encoder)."""
    lowercase: bool = False
    """For string tensors: whether the text is lower-cased first."""
    dtype: Literal["int64", "int32"] = "int64"
    """Of the token tensors."""
    tensors: dict[str, Literal["ids", "mask", "types", "string"]]
    """Which tensor takes what."""


class ConstantInput(Section):
    """A tensor that is the same for every record."""

    kind: Literal["constant"]
    value: Any
    dtype: Dtype = "float32"


Input = Annotated[ImageInput | TextInput | ConstantInput, Field(discriminator="kind")]


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
    """

    decode: Literal[
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
        "ignore",
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


class BatchLimits(Section):
    """What the file itself allows."""

    max_size: Positive | Literal["auto"] = "auto"
    fixed: Positive | None = None
    """The batch size that the file fixes."""


class Lineage(Section):
    """Where the version comes from."""

    model_config = {**Section.model_config, "extra": "allow"}

    parent: str | None = None
    seed: int | None = None


class Manifest(Section):
    """A model version."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "1"
    task: str
    files: dict[str, str] = {}
    """File name to `sha256:…`."""
    id2label: dict[int, str] = {}
    problem_type: (
        Literal["single_label_classification", "multi_label_classification", "regression"] | None
    ) = None
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    postprocess: Postprocess = Postprocess()
    batch: BatchLimits = BatchLimits()
    metrics: dict[str, Any] = {}
    lineage: Lineage = Lineage()
    license: str | None = None
    description: str | None = None

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("id2label", mode="before")
    @classmethod
    def _labels_by_index(cls, value: Any) -> Any:
        """Take a list of labels too, and labels that YAML reads as whole numbers."""
        pairs = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(pairs, dict):
            return pairs
        return {
            index: str(label) if type(label) is int else label for index, label in pairs.items()
        }

    @model_validator(mode="after")
    def _indices_are_whole(self) -> Self:
        missing = set(range(len(self.id2label))) - set(self.id2label)
        if missing:
            message = f"id2label: indices must run from 0 without gaps; missing {sorted(missing)}"
            raise ValueError(message)
        return self
