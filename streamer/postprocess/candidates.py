"""What every reader of a detector's outputs gives: candidates above a threshold, batch-wide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.models.manifest import Output
from streamer.postprocess.arrays import Floats, as_floats
from streamer.records import Geometry

Ints = NDArray[np.int64]
Head = tuple[str, Output]
"""An output's name, and how it is read."""
Outputs = Mapping[str, Any]
Geometries = Sequence[Geometry]


@dataclass(frozen=True)
class Candidates:
    """Boxes of a whole batch that reach the threshold.

    Attributes:
        rows: [K] which item each belongs to, in order.
        boxes: [K, 4] xmin, ymin, xmax, ymax in pixels of the model's input.
        scores: [K].
        labels: [K].
        finite: by item, whether its outputs were all numbers.
        landmarks: [K, P, 2] x and y of points, in the same pixels; None where there are none.
    """

    rows: Ints
    boxes: Floats
    scores: Floats
    labels: Ints
    finite: NDArray[np.bool_]
    landmarks: Floats | None = None


class Reader(Protocol):
    """Reads one way of writing boxes.

    Attributes:
        raw: whether boxes that overlap are still there, so that they are suppressed by default.
    """

    raw: bool

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """Give what reaches the threshold.

        Args:
            outputs: of the model, by name.
            geometries: how each picture lies in its input.
            threshold: lowest score.
        """
        ...


def floats_of(outputs: Outputs, head: Head) -> Floats:
    """Give an output as float32."""
    name, output = head
    return as_floats(outputs[name], output)


def zeroed(values: Floats, finite: NDArray[np.bool_]) -> Floats:
    """Give values with those of items that are no numbers replaced by 0."""
    if finite.all():
        return values
    wide = finite.reshape(-1, *[1] * (values.ndim - 1))
    return np.where(wide, values, np.float32(0))


def input_size(geometries: Geometries) -> tuple[int, int]:
    """Give (height, width) of the batch's inputs."""
    return geometries[0].model
