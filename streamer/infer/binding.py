"""How ONNX Runtime's batches get to a GPU and back."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.infer.pinned import Buffers
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning

_REPLAYS = ("enable_cuda_graph", "trt_cuda_graph_enable")
_TEXTS = ("string", "sequence", "map")

Place = tuple[str, int]
"""A device as ONNX Runtime names it: ("cuda", 0)."""


class Bound:
    """Runs a session with pinned inputs, and outputs that are copied once all are computed.

    Several threads may: each run has a binding and buffers of its own, and ONNX Runtime gives each
    thread a CUDA stream.
    """

    def __init__(self, session: Any, place: Place, outputs: Mapping[str, TensorInfo]) -> None:
        self._session = session
        self._place = place
        self._outputs = outputs
        self._spare: deque[Buffers] = deque()

    def run(self, feeds: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, Any]:
        """Compute the outputs that are wanted."""
        buffers = self._taken()
        try:
            binding = self._session.io_binding()
            for name, array in feeds.items():
                binding.bind_cpu_input(name, buffers.filled(name, array))
            for name in wanted:
                texts = self._outputs[name].dtype in _TEXTS
                binding.bind_output(name, *(("cpu", 0) if texts else self._place))
            self._session.run_with_iobinding(binding)
            return dict(zip(wanted, binding.copy_outputs_to_cpu(), strict=True))
        finally:
            self._spare.append(buffers)

    def _taken(self) -> Buffers:
        try:
            return self._spare.pop()
        except IndexError:  # as many are in flight as never before
            return Buffers(self._place[1] if self._place[0] == "cuda" else None)


class Replayed:
    """Runs a session whose work CUDA replays: the same memory and shapes, one thread at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is bound once and for all
        self,
        runtime: Any,
        session: Any,
        place: Place,
        inputs: Mapping[str, TensorInfo],
        outputs: Mapping[str, TensorInfo],
        size: int | None,
    ) -> None:
        """Bind all tensors, with batches of `size`.

        Raises:
            ModelError: a side is free.
        """
        self._session = session
        self._binding = session.io_binding()
        self._inputs, self._outputs = (
            {name: _value(runtime, info, size, place) for name, info in tensors.items()}
            for tensors in (inputs, outputs)
        )
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, feeds: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, Any]:
        """Compute the outputs that are wanted."""
        for name, array in feeds.items():
            self._inputs[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding)
        # on the CPU they are looked at in place
        return {name: np.array(self._outputs[name].numpy()) for name in wanted}


def replays(tuning: Tuning) -> bool:
    """Whether the topology wants the provider to capture CUDA graphs."""
    return any(tuning.provider_options.get(name) in ("1", "true", "True") for name in _REPLAYS)


def _value(runtime: Any, info: TensorInfo, size: int | None, place: Place) -> Any:
    """Make memory for a tensor, on the device."""
    sides = info.shape and (info.shape[0] or size, *info.shape[1:])  # a number has none
    if sides is None or None in sides or info.dtype in _TEXTS:
        raise ModelError(
            f"provider_options: {' or '.join(_REPLAYS)}: what is captured is replayed with the "
            f"same shapes, and the tensor {info} varies; export the model with fixed sides (for a "
            "free batch alone, batch: {fixed: N} in model.yaml will do), or leave the option out"
        )
    return runtime.OrtValue.ortvalue_from_shape_and_type(sides, np.dtype(info.dtype), *place)
