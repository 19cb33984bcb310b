"""Pictures to tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.fused import normalisation
from streamer.models.manifest import ImageInput
from streamer.preprocess.figures import Figures
from streamer.preprocess.frame import framed, padded_size
from streamer.preprocess.mismatch import wrong_type
from streamer.preprocess.resize import greyed
from streamer.records import Geometry, Image, ModelInput, Sample


class ImagePreprocessor:
    """Resizes pictures one by one, and normalises them a batch at a time."""

    kind: Literal["image"] = "image"

    def __init__(
        self,
        tensor: str,
        spec: ImageInput,
        constants: Mapping[str, NDArray[Any]],
        figures: Figures | None = None,
    ) -> None:
        """Prepare to feed `tensor`, and beside it the constants as they are, and sizes."""
        self._tensor = tensor
        self._spec = spec
        self._constants = constants
        self._figures = figures or Figures({})
        self._scale, self._shift = normalisation(spec)
        self._as_is = bool(np.all(self._scale == 1) and np.all(self._shift == 0))

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make one part of each picture; what is no picture, or can't be framed, is an error."""
        return [self._prepared(sample) for sample in samples]

    def _prepared(self, sample: Sample) -> list[ModelInput] | RecordError:
        if not isinstance(sample, Image):
            return wrong_type(sample, "pictures")
        channels = self._spec.channels
        pixels = sample.pixels
        if channels == "GRAY":
            pixels = greyed(pixels, self._spec.resample)
        try:
            placed, geometry = framed(pixels, self._spec)
            height, width = padded_size(self._spec, *geometry.model)
        except RecordError as error:
            return error
        if self._spec.mask is None:
            # boxes are told by the whole input, padding included; with a mask, by the picture
            geometry = replace(geometry, model=(height, width))
        if sample.full is not None:
            geometry = _of_the_whole(geometry, sample.full)
        if channels == "RGB":
            placed = cv2.cvtColor(placed, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
        return [
            ModelInput(
                {self._tensor: np.ascontiguousarray(placed)},
                cost=height * width,
                group=(height, width),
                context=geometry,
            )
        ]

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Make one array of pictures of one size."""
        size: tuple[int, int] = inputs[0].group  # type: ignore[assignment]
        pictures = [item.arrays[self._tensor] for item in inputs]
        whole = all(picture.shape[:2] == size for picture in pictures)
        if not whole:
            pictures = [_padded(picture, size) for picture in pictures]
        batch = _planes(pictures) if self._spec.layout == "NCHW" else _stacked(pictures)
        batch = self._normalised(batch)
        if not whole:
            axis = 1 if self._spec.layout == "NCHW" else 3
            outside = ~_valid(inputs, self._tensor, size)
            batch[np.broadcast_to(np.expand_dims(outside, axis), batch.shape)] = (
                self._spec.zero_point
            )
        mask = self._spec.mask
        masks = {} if mask is None else {mask: _valid(inputs, self._tensor, size)}
        figures = self._figures.of([item.context for item in inputs])
        return {self._tensor: batch, **masks, **figures, **self._constants}

    def _normalised(self, batch: NDArray[Any]) -> NDArray[Any]:
        wanted = np.dtype(self._spec.dtype)
        if self._as_is:
            return batch.astype(wanted, copy=False)
        # Channels last are gone through a row of pixels at a time: loops over three are slow.
        planar = self._spec.layout == "NCHW"
        rows = batch if planar else batch.reshape(*batch.shape[:2], -1)
        scale, shift = (
            values.reshape(-1, 1, 1) if planar else np.tile(values, batch.shape[2])
            for values in (self._scale, self._shift)
        )
        values: NDArray[Any] = np.multiply(rows, scale, dtype=np.float32)
        values += shift
        if wanted.kind in "iu":
            bounds = np.iinfo(wanted)
            np.clip(np.rint(values, out=values), bounds.min, bounds.max, out=values)
        return values.reshape(batch.shape).astype(wanted, copy=False)


def _of_the_whole(geometry: Geometry, full: tuple[int, int]) -> Geometry:
    """Tell places in the whole picture, of which a smaller one was decoded."""
    height, width = geometry.original
    return replace(
        geometry,
        original=full,
        scale_x=geometry.scale_x * width / full[1],
        scale_y=geometry.scale_y * height / full[0],
    )


def _padded(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Put a picture into the upper left corner of a larger one."""
    padded = np.zeros((*size, picture.shape[2]), picture.dtype)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    return padded


def _valid(inputs: Sequence[ModelInput], tensor: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell where there is picture: [N, height, width]."""
    valid = np.zeros((len(inputs), *size), np.bool_)
    for mask, item in zip(valid, inputs, strict=True):
        height, width = item.arrays[tensor].shape[:2]
        mask[:height, :width] = True
    return valid


def _stacked(pictures: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Give [N, height, width, channels]; one picture is not copied."""
    return pictures[0][np.newaxis] if len(pictures) == 1 else np.stack(pictures)


def _planes(pictures: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Give [N, channels, height, width]."""
    height, width, channels = pictures[0].shape
    batch = np.empty((len(pictures), channels, height, width), pictures[0].dtype)
    for planes, picture in zip(batch, pictures, strict=True):
        # Writes into the planes; twice as fast as a transposed copy by numpy.
        cv2.split(picture, list(planes))
    return batch
