"""ONNX Runtime sessions."""

import ctypes
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.infer.device import cuda_index, gpu_uuids
from streamer.infer.session import OutOfMemoryError, TensorInfo, fitted
from streamer.models import Version
from streamer.models.manifest import ConstantInput

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_TENSOR = re.compile(r"tensor\((\w+)\)")
_DTYPES = {"float": "float32", "double": "float64"}
_MAX_MESSAGE = 400
_FATAL = 4  # what is an error to ONNX Runtime comes as an exception, too


class OnnxSession:
    """A model in ONNX Runtime.

    Attributes:
        fallback: why the CPU computes although `auto` found a GPU; None if all is well.
    """

    def __init__(self, version: Version, *, device: str, threads: int) -> None:
        runtime = _runtime()
        self._file = version.file
        self.fallback: str | None = None
        providers, self.device = _providers(runtime, device)
        self._session: Any = _opened(runtime, version, providers, threads)
        self.provider = self._session.get_providers()[0]
        if self.device != "cpu" and self.provider != _CUDA:
            why = _missing_library(runtime)
            if device != "auto":
                raise ModelError(f"device {device}: ONNX Runtime cannot use CUDA: {why}")
            self.fallback = why
            self.device = "cpu"
        self.inputs = _infos(self._session.get_inputs())
        self.outputs = _infos(self._session.get_outputs())
        self._wanted = [
            name
            for name, output in version.manifest.outputs.items()
            if output.decode != "ignore" and name in self.outputs
        ]
        self._constants = _constants(version)
        self.fixed = _fixed_batch(version, self.inputs)
        self.max_batch: int | None = self.fixed

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
        self._session = None

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
        if self._session is None:
            raise ModelError(f"{self._file}: the session is closed")
        if not self._wanted:
            raise ModelError(f"{self._file}: has none of the outputs that are to be read")
        try:
            values = self._session.run(self._wanted, self._fed(feeds))
        except (ModelError, RecordError):
            raise
        except MemoryError as error:
            raise OutOfMemoryError(f"no memory for a batch: {error}") from error
        except Exception as error:
            message = cleaned(error)
            if _is_memory(message):
                raise OutOfMemoryError(message) from error
            raise RecordError(message, reason="inference-failed") from error
        return dict(zip(self._wanted, values, strict=True))

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


def listed(kind: str, tensors: Mapping[str, TensorInfo]) -> str:
    """Say which inputs or outputs a graph has."""
    return f"the graph's {kind}s are " + ", ".join(str(tensor) for tensor in tensors.values())


def cleaned(error: Exception) -> str:
    """Make one readable line of ONNX Runtime's text."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", str(error))
    text = re.sub(r"^Load model from \S+ failed:\s*", "", text)
    text = re.sub(r"/\S+?\.(?:cc|h):\d+ ", "", text)
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "ONNX models need ONNX Runtime, which is not installed: "
            "pip install 'streamer[cpu]', or 'streamer[gpu]' for NVIDIA GPUs"
        ) from error
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


def _providers(runtime: Any, device: str) -> tuple[list[Any], str]:
    cpu = [_CPU], "cpu"
    if device == "cpu":
        return cpu
    if _CUDA not in runtime.get_available_providers():
        if device == "auto":
            return cpu
        raise ModelError(
            f"device {device}: this ONNX Runtime has no CUDA provider: "
            "pip uninstall onnxruntime, then pip install 'streamer[gpu]'"
        )
    if device == "auto" and not gpu_uuids():
        return cpu
    index = 0 if device == "auto" else cuda_index(device)
    if hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()
    # TF32 rounds factors to 10 bits; by default the arena doubles whenever it grows.
    options = {
        "device_id": str(index),
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }
    return [(_CUDA, options), _CPU], f"cuda:{index}"


def _opened(runtime: Any, version: Version, providers: list[Any], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # Patterns are kept for every shape seen: texts would fill the memory with them.
    options.enable_mem_pattern = False
    if threads > 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(str(version.file), options, providers=providers)
    except Exception as error:
        raise ModelError(f"{version.file}: cannot be loaded: {cleaned(error)}") from error


def _missing_library(runtime: Any) -> str:
    """Ask the loader what the CUDA provider lacks; ONNX Runtime only prints it."""
    library = Path(runtime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return "the provider loads, but finds no GPU that it can use"


def _infos(arguments: list[Any]) -> Mapping[str, TensorInfo]:
    return MappingProxyType({argument.name: _info(argument) for argument in arguments})


def _info(argument: Any) -> TensorInfo:
    match = _TENSOR.fullmatch(argument.type)
    if match is None:
        return TensorInfo(argument.name, argument.type.partition("(")[0], None)
    dtype = _DTYPES.get(match[1], match[1])
    shape = tuple(
        side if isinstance(side, int) and side > 0 else None for side in argument.shape or ()
    )
    return TensorInfo(argument.name, dtype, shape)


def _constants(version: Version) -> dict[str, NDArray[Any]]:
    return {
        name: np.asarray(tensor.value, dtype=tensor.dtype)
        for name, tensor in version.manifest.inputs.items()
        if isinstance(tensor, ConstantInput)
    }


def _fixed_batch(version: Version, inputs: Mapping[str, TensorInfo]) -> int | None:
    constants = _constants(version)
    sides = {info.shape[0] for name, info in inputs.items() if info.shape and name not in constants}
    told = version.manifest.batch.fixed
    known = [side for side in sides if side is not None]
    return known[0] if known else told


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [row for part in parts for row in part]


def _is_memory(message: str) -> bool:
    lowered = message.lower()
    return any(
        words in lowered
        for words in ("failed to allocate memory", "out of memory", "bad_alloc", "bad allocation")
    )
