"""What goes into a model's tensors: pictures, texts, constants."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

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
