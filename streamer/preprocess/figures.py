"""Sizes of a picture, for models that ask for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.models.manifest import ImageSizeInput
from streamer.records import Geometry


class Figures:
    """Feeds the tensors that take sizes of each picture."""

    def __init__(self, specs: Mapping[str, ImageSizeInput]) -> None:
        self._specs = dict(specs)

    def of(self, geometries: Sequence[Geometry]) -> dict[str, NDArray[Any]]:
        """Give [N, figures] for each tensor."""
        return {
            tensor: np.array(
                [[_told(geometry)[value] for value in spec.values] for geometry in geometries],
                spec.dtype,
            )
            for tensor, spec in self._specs.items()
        }


def _told(geometry: Geometry) -> dict[str, float]:
    return {
        "height": geometry.original[0],
        "width": geometry.original[1],
        "input_height": geometry.model[0],
        "input_width": geometry.model[1],
        "scale_y": geometry.scale_y,
        "scale_x": geometry.scale_x,
        "one": 1,
    }
