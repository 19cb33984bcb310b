"""What the sessions of all frameworks have in common."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.infer.session import OutOfMemoryError, TensorInfo, fitted
from streamer.models import Version
from streamer.models.manifest import ConstantInput, ImageBytesInput

_MAX_MESSAGE = 400
# As ONNX Runtime, CUDA and its libraries, Torch, TensorFlow and C++ put it.
_NO_MEMORY = (
    "failed to allocate memory",
    "smaller than requested bytes",
    "out of memory",
    "out_of_memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "can't allocate memory",
    "not enough memory",
    "oom when allocating",
    "resource_exhausted",
)


class BaseSession(ABC):
    """Feeds a framework's model: constants added, types cast, fixed batches filled, errors told.

    A framework sets the attributes of `Session` and computes.
    """

    device: str = "cpu"
    provider: str
    fallback: str | None = None
    nodes: Mapping[str, int] = MappingProxyType({})
    in_flight: int = 1
    stands_in: bool = False
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    max_batch: int | None

    def __init__(self, version: Version) -> None:
        self._file = version.file
        self.manifest = version.manifest
        self._constants = _constants(version)
        self._closed = False

    def _known(self, inputs: Mapping[str, TensorInfo], outputs: Mapping[str, TensorInfo]) -> None:
        """Note what was loaded."""
        self.inputs = inputs
        self.outputs = outputs
        self._wanted = [
            name
            for name, output in self.manifest.outputs.items()
            if output.decode != "ignore" and name in outputs
        ]
        self.fixed = self._fixed_batch()
        self.max_batch = self.fixed

    @abstractmethod
    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        """Run the framework with feeds of its own types."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Compute the outputs that the manifest reads; see `Session.run`."""
        feeds = {name: array for name, array in feeds.items() if name not in self._constants}
        size = min((len(array) for array in feeds.values()), default=1)
        if self.fixed is None or size == self.fixed:
            return self._run(feeds)
        parts = [
            self._padded({name: array[at : at + self.fixed] for name, array in feeds.items()})
            for at in range(0, size, self.fixed)
        ]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        self._closed = True

    def _padded(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Run a batch smaller than the file's by repeating its last item."""
        assert self.fixed is not None  # noqa: S101 - the caller has looked
        size = len(next(iter(feeds.values())))
        missing = self.fixed - size
        if missing == 0:
            return self._run(feeds)
        filled = {
            name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
            for name, array in feeds.items()
        }
        return {name: value[:size] for name, value in self._run(filled).items()}

    def _run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        if self._closed:
            raise ModelError(f"{self._file}: the session is closed")
        if not self._wanted:
            raise ModelError(f"{self._file}: has none of the outputs that are to be read")
        try:
            return self._compute(self._fed(feeds), self._wanted)
        except (ModelError, RecordError):
            raise
        except Exception as error:
            message = cleaned(error)
            if isinstance(error, MemoryError) or is_memory(str(error)):
                raise OutOfMemoryError(message or "no memory for a batch") from error
            raise RecordError(message, reason="inference-failed") from error

    def _fed(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        fed = {}
        for name, array in {**self._constants, **feeds}.items():
            info = self.inputs.get(name)
            if info is None:
                raise ModelError(f"there is no tensor '{name}'; {listed('input', self.inputs)}")
            cast = fitted(_shaped(array, info), info.dtype)
            if cast is None:
                raise ModelError(
                    f"the tensor {info} cannot take {array.dtype} without loss; write "
                    f"dtype: {info.dtype} in model.yaml"
                )
            fed[name] = cast
        return fed

    def _fixed_batch(self) -> int | None:
        if any(
            isinstance(given, ImageBytesInput) and given.dtype == "uint8"
            for given in self.manifest.inputs.values()
        ):
            return None  # the first axis is a picture's bytes
        sides = {
            info.shape[0]
            for name, info in self.inputs.items()
            if info.shape and name not in self._constants
        }
        known = [side for side in sides if side is not None]
        return known[0] if known else self.manifest.batch.fixed


def listed(kind: str, tensors: Mapping[str, TensorInfo]) -> str:
    """Say which inputs or outputs a graph has."""
    return f"the graph's {kind}s are " + ", ".join(str(tensor) for tensor in tensors.values())


def cleaned(error: BaseException) -> str:
    """Make one readable line of a framework's text."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", str(error))
    text = re.sub(r"^Load model from \S+ failed:\s*", "", text)
    text = re.sub(r"/\S+?\.(?:cc|h|cpp):\d+ ", "", text)
    text = re.sub(
        r"^The following operation failed.*(?:RuntimeError|IndexError): ", "", text, flags=re.DOTALL
    )
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def is_memory(message: str) -> bool:
    """Whether an error's text says that memory ran out."""
    lowered = message.lower()
    return any(words in lowered for words in _NO_MEMORY)


def _shaped(array: NDArray[Any], info: TensorInfo) -> NDArray[Any]:
    """Give texts the axis that string tensors [N] and [N, 1] have and lack, ids a fixed length."""
    shape = info.shape
    if shape is None:
        return array
    if info.dtype == "string" and array.ndim != len(shape):
        return array.reshape((len(array),) + (1,) * (len(shape) - 1))
    tokens = array.ndim == len(shape) == 2 and array.dtype.kind in "iu"  # noqa: PLR2004
    if tokens and shape[1] is not None and array.shape[1] < shape[1]:
        return np.pad(array, ((0, 0), (0, shape[1] - array.shape[1])))
    return array


def _constants(version: Version) -> dict[str, NDArray[Any]]:
    return {
        name: np.asarray(tensor.value, dtype=tensor.dtype)
        for name, tensor in version.manifest.inputs.items()
        if isinstance(tensor, ConstantInput)
    }


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [row for part in parts for row in part]
