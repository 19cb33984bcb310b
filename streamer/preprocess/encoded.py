"""Pictures as bytes, for graphs that decode them by themselves."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.manifest import ImageBytesInput
from streamer.preprocess.figures import Figures
from streamer.preprocess.mismatch import wrong_type
from streamer.records import Geometry, Image, ModelInput, Sample

# In JPEG's segments and PNG's chunks; with it may come an orientation that the graph ignores.
_EXIF = re.compile(rb"Exif\x00|eXIf")


class ImageBytesPreprocessor:
    """Feeds the encoded picture.

    It is the record's own bytes where these are an upright picture that every decoder reads alike;
    else (EXIF orientation, 16 bits, a crop) the pixels as streamer has them, as PNG.
    """

    kind: Literal["image"] = "image"

    def __init__(
        self,
        tensor: str,
        spec: ImageBytesInput,
        constants: Mapping[str, NDArray[Any]],
        figures: Figures,
    ) -> None:
        """Prepare to feed `tensor`, and beside it the constants as they are, and sizes."""
        self._tensor = tensor
        self._spec = spec
        self._constants = constants
        self._figures = figures

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make one part of each picture; what is no picture is an error."""
        return [self._prepared(sample) for sample in samples]

    def _prepared(self, sample: Sample) -> list[ModelInput] | RecordError:
        if not isinstance(sample, Image):
            return wrong_type(sample, "pictures")
        encoded = sample.encoded
        if encoded is None or _EXIF.search(encoded):
            encoded = _as_png(sample.pixels)
        if self._spec.dtype == "uint8":
            array: NDArray[Any] = np.frombuffer(encoded, np.uint8)
        else:
            array = np.array([encoded], dtype=object)
        height, width = sample.size
        geometry = Geometry(sample.size, sample.size, 1.0, 1.0, 0.0, 0.0)
        # bytes of one picture after another make no batch: nothing shares a group with another
        group = id(array) if self._spec.dtype == "uint8" else None
        return [ModelInput({self._tensor: array}, height * width, group, context=geometry)]

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Give the pictures' bytes: [N] of strings, or those of the only one."""
        arrays = [item.arrays[self._tensor] for item in inputs]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        figures = self._figures.of([item.context for item in inputs])
        return {self._tensor: joined, **figures, **self._constants}


def _as_png(pixels: NDArray[np.uint8]) -> bytes:
    _, written = cv2.imencode(".png", pixels)
    return written.tobytes()
