"""A record's content, decoded, and what a model is fed with."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded picture, upright: uint8 [height, width, 3], channels BGR as OpenCV has them.

    Attributes:
        encoded: what it was decoded from, where every decoder reads that alike but for EXIF's
            orientation.
        full: (height, width) of the whole picture where it was decoded at a part of its size.
    """

    pixels: NDArray[np.uint8]
    encoded: bytes | None = None
    full: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


class Text(msgspec.Struct, frozen=True, gc=False):
    """One text."""

    text: str


class Pair(msgspec.Struct, frozen=True, gc=False):
    """Two sentences that are compared or judged together."""

    first: str
    second: str


Sample = Image | Text | Pair


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture lies in the model's input; undoes resizing, padding and cropping.

    A point of the model's input is, in the original, `(x - pad_left) / scale_x` and
    `(y - pad_top) / scale_y`.

    Attributes:
        original: (height, width) of the picture as decoded, in pixels.
        model: (height, width) of the model's input.
        scale_x: pixels of the model's input per pixel of the original, across.
        scale_y: the same, down.
        pad_left: where the original's left edge lies in the model's input; negative where a
            centre crop cut it off.
        pad_top: where its upper edge lies.
    """

    original: tuple[int, int]
    model: tuple[int, int]
    scale_x: float
    scale_y: float
    pad_left: float
    pad_top: float


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A text, or a piece of a long one, as it was cut into tokens.

    Attributes:
        text: the whole text.
        encoding: tokens, their numbers, and where in the text each of them stands, in characters
            (a `tokenizers.Encoding`).
    """

    text: str
    encoding: Any


class ModelInput(msgspec.Struct, eq=False):
    """One item of a batch, before it is put together with others.

    Attributes:
        arrays: tensor name to array without the batch axis. Pictures stay uint8 [h, w, 3] in the
            model's channel order until the batch is made; texts are int64 [length].
        cost: what the item adds to a batch: pixels of a picture, tokens of a text.
        group: items with equal groups may share a batch (a picture's shape).
        length: items of like length go together; 0 where all are alike.
        context: what interpretation needs to undo preprocessing: a picture's `Geometry`, a text's
            `TextPiece` where places in it are answered.
        pads_left: whether a batch's padding stands before a text.
    """

    arrays: Mapping[str, NDArray[Any]]
    cost: int
    group: Hashable = None
    length: int = 0
    context: Any = None
    pads_left: bool = False
