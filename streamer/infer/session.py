"""What a session is to the line, whatever framework runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.manifest import Manifest


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a loaded model.

    Attributes:
        dtype: numpy's name of it; `string`; or `sequence` where it is no tensor.
        shape: a free dimension is None; None if nothing is told.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return f"'{self.name}' {self.dtype}"
        sides = ("N" if at == 0 else "?" for at in range(len(self.shape)))
        told = (
            str(side) if side is not None else free
            for side, free in zip(self.shape, sides, strict=True)
        )
        return f"'{self.name}' {self.dtype} [{','.join(told)}]"


class Session(Protocol):
    """A loaded model.

    Attributes:
        device: `cpu` or `cuda:N`.
        provider: what the framework calls the thing that computes.
        max_batch: items of a batch at the most; None for any number.
        fallback: why the CPU computes although `auto` found a GPU; None if all is well.
        nodes: how many nodes of the graph each provider computes, where that is told.
        in_flight: how many threads at once may run it, and are worth having.
        manifest: what it is fed: the version's, but for pictures that enter as bytes.
        stands_in: whether a function stands for the model, which is not tried with made-up inputs.
    """

    device: str
    provider: str
    max_batch: int | None
    fallback: str | None
    nodes: Mapping[str, int]
    in_flight: int
    manifest: Manifest
    stands_in: bool
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Compute the outputs that the manifest reads; the batch is the first axis of each.

        Raises:
            RecordError: the batch cannot be computed (`inference-failed`), or memory is short
                (`OutOfMemoryError`).
            ModelError: the feeds are not what the model takes.
        """
        ...

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        ...


class OutOfMemoryError(RecordError):
    """A batch did not fit the device's memory; a smaller one may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="out-of-memory")


def fitted(array: NDArray[Any], dtype: str) -> NDArray[Any] | None:
    """Cast to a tensor's type where that loses nothing; None where it would."""
    if dtype == "string":
        return array.astype(object) if array.dtype.kind in "OUS" else None
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    target = np.dtype(dtype)
    if np.can_cast(array.dtype, target, casting="safe"):
        return array.astype(target)
    if array.dtype.kind in "iub" and target.kind in "iu" and array.size:
        limits = np.iinfo(target)
        if limits.min <= array.min() and array.max() <= limits.max:
            return array.astype(target)
    return None
