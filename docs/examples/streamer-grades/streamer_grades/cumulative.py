"""The decoding `cumulative`: logits of "more than grade k", as ordinal regression has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.records import ModelInput


def outputs(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Say how the array is read that `decode` makes."""
    return {"grades": {"decode": "probabilities"}}


def decode(
    arrays: Mapping[str, NDArray[Any]], inputs: Sequence[ModelInput], options: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Make probabilities [N, grades] of logits [N, grades - 1]."""
    (logits,) = arrays.values()
    above = 1 / (1 + np.exp(-logits / options.get("temperature", 1.0)))
    edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return {"grades": edges[:, :-1] - edges[:, 1:]}
