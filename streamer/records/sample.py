"""A record's content, decoded, and what a model is fed with."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded picture, upright: uint8 [height, width, 3], channels BGR as OpenCV has them."""

    pixels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True)
class Text:
    """One text."""

    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences that are compared or judged together."""

    first: str
    second: str


Sample = Image | Text | Pair


@dataclass(slots=True)
class ModelInput:
    """One item of a batch, before it is put together with others.

    Attributes:
        arrays: tensor name to array without the batch axis. Pictures stay uint8 [h, w, 3] in the
            model's channel order until the batch is made; texts are int64 [length].
        cost: what the item adds to a batch: pixels of a picture, tokens of a text.
        group: items with equal groups may share a batch (a picture's shape).
        length: items of like length go together; 0 where all are alike.
        context: what interpretation needs to undo preprocessing (a letterbox's scale and
            offsets, the original's size), by name.
    """

    arrays: Mapping[str, NDArray[Any]]
    cost: int
    group: Hashable = None
    length: int = 0
    context: Any = None
