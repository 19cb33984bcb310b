"""Made-up inputs of every batch and size that an exported graph has to take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.models.graph import Tensor
from streamer.models.manifest import ImageInput, Manifest

EXAMPLE_BATCH, EXAMPLE_LENGTH = 2, 9
BATCHES = (1, 3, 8)
LENGTHS = (5, 14)
_LARGER = (1.0, 1.25)
_FREE_SIDE = 224
_VOCABULARY = 1000

Feeds = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shapes:
    """Which sides of the inputs are free.

    Attributes:
        picture: (channels, height, width) of a picture as it is exported; None for texts.
        free_size: whether height and width are free, since pictures keep their shape.
        vocabulary: how many tokens there are.
    """

    picture: tuple[int, int, int] | None
    free_size: bool = False
    vocabulary: int = _VOCABULARY

    @property
    def sizes(self) -> tuple[Any, ...]:
        """Sizes, or lengths, that are compared; those free are none that was exported."""
        if self.picture is None:
            return LENGTHS
        _, height, width = self.picture
        if not self.free_size:
            return ((height, width),)
        return tuple((_side(height, by), _side(width, 1 / by)) for by in (_LARGER[1], 1 / 1.5))


def _side(side: int, by: float) -> int:
    return max(round(side * by / 32), 2) * 32


def shapes_of(manifest: Manifest, config: Mapping[str, Any]) -> Shapes:
    """Tell what goes in from how a record is prepared."""
    picture = next((t for t in manifest.inputs.values() if isinstance(t, ImageInput)), None)
    if picture is None:
        return Shapes(None, vocabulary=config.get("vocab_size") or _VOCABULARY)
    channels = 1 if picture.channels == "GRAY" else 3
    size = picture.crop_size if picture.do_center_crop else picture.size
    height, width = getattr(size, "height", None), getattr(size, "width", None)
    if height is None or width is None:
        return Shapes((channels, _FREE_SIDE, _FREE_SIDE), free_size=True)
    return Shapes((channels, height, width))


def made_up(
    inputs: tuple[Tensor, ...], shapes: Shapes, batch: int, size: Any, rng: np.random.Generator
) -> Feeds:
    """Make one batch: random pixels, or random tokens with padding behind all but the first."""
    if shapes.picture is not None:
        height, width = size
        pixels = rng.normal(size=(batch, shapes.picture[0], height, width)).astype(np.float32)
        feeds: Feeds = {inputs[0].name: pixels}
        for tensor in inputs[1:]:  # a mask of where pictures end
            feeds[tensor.name] = np.ones((batch, height, width), np.int64)
        return feeds
    mask = np.ones((batch, size), np.int64)
    for row in range(1, batch):
        mask[row, rng.integers(2, size) :] = 0
    feeds = {}
    for tensor in inputs:
        if tensor.name == "attention_mask":
            feeds[tensor.name] = mask
        elif tensor.name == "token_type_ids":
            feeds[tensor.name] = np.zeros((batch, size), np.int64)
        else:
            # the first few are special, the padding token among them
            low = min(5, shapes.vocabulary - 1)
            feeds[tensor.name] = rng.integers(low, shapes.vocabulary, (batch, size))
    return feeds


def example(inputs: tuple[Tensor, ...], shapes: Shapes) -> Feeds:
    """Make the batch that is exported with."""
    size = EXAMPLE_LENGTH if shapes.picture is None else shapes.picture[1:]
    return made_up(inputs, shapes, EXAMPLE_BATCH, size, np.random.default_rng(0))


def compared(inputs: tuple[Tensor, ...], shapes: Shapes) -> Iterator[tuple[str, Feeds]]:
    """Make the batches that both networks answer, none of them the one that was exported with."""
    rng = np.random.default_rng(1)
    for size in shapes.sizes:
        for batch in BATCHES:
            told = f"{size[0]}x{size[1]}" if isinstance(size, tuple) else f"length {size}"
            yield f"batch {batch}, {told}", made_up(inputs, shapes, batch, size, rng)
