"""What every interpretation begins with: outputs as float32, one row an item, rows that are bad."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.models.manifest import Output
from streamer.records import ModelInput

Floats = NDArray[np.float32]


class Interpreter(Protocol):
    """Turns a model's outputs into a task's output."""

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give one result for each item of a batch, in order.

        An item whose outputs are no numbers (NaN, infinite) gets a RecordError in its place.
        """
        ...

    def combine(self, parts: Sequence[Any]) -> Any:
        """Make the task's output of the results of one record's parts."""
        ...


class OnePart:
    """The combination where each record is one item."""

    def combine(self, parts: Sequence[Any]) -> Any:
        """Give the only part."""
        return parts[0]


def as_floats(value: Any, output: Output) -> Floats:
    """Give an output as float32, quantised ones dequantised."""
    array = np.asarray(value)
    if output.scale is not None:
        return (array.astype(np.float32) - np.float32(output.zero_point)) * np.float32(output.scale)
    return array.astype(np.float32, copy=False)


def rows_checked(array: NDArray[Any], name: str, items: int) -> NDArray[Any]:
    """Make sure that an output has one row an item.

    Raises:
        ModelError: it has not.
    """
    if array.ndim == 0 or len(array) != items:
        raise ModelError(f"output '{name}' has shape {array.shape} for a batch of {items}")
    return array


def finite_rows(array: Floats) -> NDArray[np.bool_]:
    """Tell which items have nothing but numbers."""
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1), dtype=np.bool_)


def non_finite(name: str) -> RecordError:
    """Say that a model gave NaN or infinity for an item."""
    return RecordError(
        f"the model's output '{name}' has NaN or infinite values", reason="non-finite"
    )
