"""Pictures that enter a model as bytes: what is left for the device in front of the model.

Decoding and resizing stay on the CPU; casting, scaling and turning of axes are cheap on a GPU, and
bytes are a quarter of what floats are to copy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.models.manifest import ImageInput, Manifest
from streamer.models.manifest.values import Dtype

_FLOATS = ("float32", "float16")


@dataclass(frozen=True)
class Fusion:
    """The work in front of a model: uint8 [N, height, width, channels] to what its tensor takes.

    Attributes:
        manifest: what the model is fed with it: bytes as they are decoded.
        tensor: the picture's.
        dtype: of the tensor.
        planar: whether the tensor is NCHW.
        flipped: whether its channels stand in the other order.
        scale: float32 [channels] in the tensor's order: value = pixel * scale + shift.
        shift: the same.
    """

    manifest: Manifest
    tensor: str
    dtype: Dtype
    planar: bool
    flipped: bool
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]

    @property
    def as_is(self) -> bool:
        """Whether values are the pixels'."""
        return bool(np.all(self.scale == 1) and np.all(self.shift == 0))


def fusion_of(manifest: Manifest) -> Fusion:
    """Split what a manifest says of its picture into what the CPU does and what the device does.

    Raises:
        ModelError: the two cannot be split; says why.
    """
    pictures = {
        name: spec for name, spec in manifest.inputs.items() if isinstance(spec, ImageInput)
    }
    if len(pictures) != 1:
        raise ModelError("the model takes no picture's pixels")
    [(name, spec)] = pictures.items()
    why = _apart(spec)
    if why is not None:
        raise ModelError(f"inputs.{name}: {why}")
    plain = {
        "layout": "NHWC",
        "channels": "BGR" if spec.channels == "RGB" else spec.channels,
        "dtype": "uint8",
        "rescale_factor": 1.0,
        "image_mean": (0.0,),
        "image_std": (1.0,),
        "scale": None,
        "zero_point": 0,
    }
    fed = manifest.model_copy(
        update={"inputs": {**manifest.inputs, name: spec.model_copy(update=plain)}}
    )
    scale, shift = normalisation(spec)
    return Fusion(
        manifest=fed,
        tensor=name,
        dtype=spec.dtype,
        planar=spec.layout == "NCHW",
        flipped=spec.channels == "RGB",  # pictures are decoded as BGR
        scale=scale,
        shift=shift,
    )


def normalisation(spec: ImageInput) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give (pixel * rescale_factor - mean) / std as a factor and what is added, by channel."""
    channels = 1 if spec.channels == "GRAY" else 3
    mean, std = (_by_channel(values, channels) for values in (spec.image_mean, spec.image_std))
    unit = spec.scale or 1.0
    scale = (spec.rescale_factor / std / unit).astype(np.float32)
    shift = (-mean / std / unit + spec.zero_point).astype(np.float32)
    return scale, shift


def _apart(spec: ImageInput) -> str | None:
    """Say what keeps the picture from entering as bytes; None if nothing does."""
    if spec.dtype not in _FLOATS:
        return f"the tensor takes {spec.dtype}, which is stored as it is"
    if spec.mask is not None or spec.pad_size is not None or spec.size_divisor is not None:
        return "pictures are padded after they are normalised"
    if spec.resample == "tf-bilinear":
        return "tf-bilinear makes fractions of grey levels, which bytes do not hold"
    return None


def _by_channel(values: tuple[float, ...], channels: int) -> NDArray[np.float64]:
    """Spread one value over all channels; several equal ones serve a grey picture."""
    return np.broadcast_to(np.asarray(values[: max(1, min(len(values), channels))]), channels)
