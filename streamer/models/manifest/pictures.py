"""What goes into tensors that take a picture, or something that is known of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from streamer.config.section import Section
from streamer.models.manifest.values import Dtype, Positive

Resample = Literal[
    "pillow-bilinear",
    "pillow-bicubic",
    "pillow-lanczos",
    "pillow-box",
    "pillow-hamming",
    "pillow-nearest",
    "opencv-linear",
    "opencv-area",
    "opencv-cubic",
    "opencv-nearest",
    "tf-bilinear",
]
ResizeRule = Literal["stretch", "letterbox", "shortest-edge", "fit", "none"]
Channels3 = tuple[float, ...]
Ratio = Annotated[float, Field(gt=0, le=1)]

_FORMS = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
    {"max_height", "max_width"},
)


class Size(Section):
    """Target size in pixels: both sides, the shorter or the longer one, or a frame to fit."""

    height: Positive | None = None
    width: Positive | None = None
    shortest_edge: Positive | None = None
    longest_edge: Positive | None = None
    max_height: Positive | None = None
    max_width: Positive | None = None

    @property
    def given(self) -> set[str]:
        """The keys that are there."""
        return set(self.model_dump(exclude_none=True))

    @property
    def frame(self) -> tuple[int, int] | None:
        """(height, width) that a picture is to fit into, by `fit`."""
        if self.longest_edge is not None:
            return self.longest_edge, self.longest_edge
        if self.max_height is not None and self.max_width is not None:
            return self.max_height, self.max_width
        return None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.given and self.given not in _FORMS:
            message = (
                "write {height: H, width: W} or {shortest_edge: S}, with longest_edge: L where "
                "that is limited; or {longest_edge: L} or {max_height: H, max_width: W}"
            )
            raise ValueError(message)
        return self


class CropSize(Section):
    """Size in pixels of the part cut from the middle, or of what is padded."""

    height: Positive
    width: Positive


class ImageInput(Section):
    """A tensor that takes a picture. Values are (pixel * rescale_factor - mean) / std."""

    kind: Literal["image"]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR", "GRAY"] = "RGB"
    dtype: Dtype = "float32"
    size: Size = Size()
    resize: ResizeRule | None = None
    """`stretch` to height and width (default with both), `shortest-edge` (default with that key),
    `fit`: as large as fits, sides in proportion (default with a longest edge or a frame);
    `letterbox`: the same, the rest padded."""
    resample: Resample = "opencv-linear"
    """`opencv-area` is area when shrinking and linear when enlarging."""
    pad: Literal["top-left", "center"] = "top-left"
    """Where a letterboxed picture sits (YOLOX: top-left; Ultralytics: center)."""
    pad_value: Annotated[int, Field(ge=0, le=255)] = 114
    crop_pct: Ratio | None = None
    """`size` is what is left when this share is cut from the middle: the shorter side is first
    brought to its side / crop_pct (timm)."""
    side_divisor: Positive | None = None
    """Sides are rounded down to a multiple of it when resizing."""
    do_center_crop: bool = False
    crop_size: CropSize | None = None
    crop_rounding: Literal["down", "even"] = "down"
    """Where half a pixel of margin goes: `even` is torchvision's CenterCrop (timm, Ultralytics)."""
    pad_size: CropSize | None = None
    """Smaller pictures are padded at right and bottom, with zeros, after normalisation."""
    size_divisor: Positive | None = None
    """The same padding, up to the next multiple."""
    mask: str | None = None
    """Tensor that takes 1 where there is picture and 0 where there is padding."""
    rescale_factor: float = 1.0
    image_mean: Channels3 = (0.0, 0.0, 0.0)
    image_std: Channels3 = (1.0, 1.0, 1.0)
    scale: float | None = None
    """Quantised inputs: stored = value / scale + zero_point."""
    zero_point: int = 0

    @property
    def resize_rule(self) -> ResizeRule:
        """The resize rule, the default resolved."""
        if self.resize is not None:
            return self.resize
        if self.size.shortest_edge is not None:
            return "shortest-edge"
        if self.size.frame is not None:
            return "fit"
        return "stretch" if self.size.given else "none"

    @property
    def cropped(self) -> CropSize | None:
        """What is cut from the middle, if anything."""
        if self.do_center_crop:
            return self.crop_size
        if self.crop_pct is not None:
            edge = self.size.shortest_edge or 1
            return CropSize(height=self.size.height or edge, width=self.size.width or edge)
        return None

    @model_validator(mode="after")
    def _rules_have_what_they_need(self) -> Self:
        if self.do_center_crop and self.crop_size is None:
            message = "do_center_crop needs crop_size: {height: H, width: W}"
            raise ValueError(message)
        if self.resize_rule in ("letterbox", "stretch") and self.size.height is None:
            edge = self.size.shortest_edge
            if self.resize_rule == "letterbox" or edge is None:
                message = f"resize: {self.resize_rule} needs size: {{height: H, width: W}}"
                raise ValueError(message)
        if self.resize_rule == "fit" and self.size.frame is None:
            message = "resize: fit needs size: {longest_edge: L} or {max_height: H, max_width: W}"
            raise ValueError(message)
        if self.crop_pct is not None and (self.do_center_crop or self.size.frame is not None):
            message = "crop_pct needs {height: H, width: W} or {shortest_edge: S}, and no crop_size"
            raise ValueError(message)
        if self.pad_size is not None and self.size_divisor is not None:
            message = "write pad_size or size_divisor, not both"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _channels_have_their_figures(self) -> Self:
        count = 1 if self.channels == "GRAY" else 3
        for name, values in (("image_mean", self.image_mean), ("image_std", self.image_std)):
            if len(values) not in (1, count) and not (count == 1 and len(set(values)) == 1):
                message = f"{name} needs {count} value(s), one a channel; got {len(values)}"
                raise ValueError(message)
        if 0 in self.image_std:
            message = "image_std must not be 0"
            raise ValueError(message)
        if self.scale == 0:
            message = "scale must not be 0"
            raise ValueError(message)
        return self


class ImageBytesInput(Section):
    """A tensor that takes the encoded picture: the graph decodes, resizes and normalises itself."""

    kind: Literal["image-bytes"]
    dtype: Literal["string", "uint8"] = "string"
    """`string`: one element a picture; `uint8`: the bytes of one picture, one after another."""


Figure = Literal["height", "width", "input_height", "input_width", "scale_y", "scale_x", "one"]


class ImageSizeInput(Section):
    """A tensor that takes sizes of each picture."""

    kind: Literal["image-size"]
    values: tuple[Figure, ...] = ("height", "width")
    """`height`, `width` of the upright original; `input_height`, `input_width` of the model's
    input without padding; `scale_y`, `scale_x`: the latter by the former; `one`: 1."""
    dtype: Dtype = "int64"
