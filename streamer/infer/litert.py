"""LiteRT sessions: `.tflite` files, quantised ones included."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.infer.base import BaseSession, cleaned
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.manifest import Manifest

_QUANTISED = ("uint8", "int8", "int16")


class LiteRtSession(BaseSession):
    """A model in LiteRT, on the CPU.

    A quantised input takes what the manifest's `dtype` says: its own type as it is, or floats,
    which are quantised here. A quantised output comes out as floats, unless the manifest gives
    its `scale`.
    """

    provider = "LiteRT"

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        super().__init__(version)
        if device not in ("auto", "cpu"):
            raise ModelError(f"device {device}: .tflite models run on the CPU; write device: cpu")
        if (tuning or Tuning()).precision not in ("auto", "fp32"):
            raise ModelError("precision: a .tflite file computes in its own types; leave it out")
        interpreter = _import_litert()
        try:
            self._interpreter: Any = interpreter(str(version.file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{version.file}: cannot be loaded: {cleaned(error)}") from error
        self._given = _tensors(self._interpreter, "inputs")
        self._told = _tensors(self._interpreter, "outputs")
        inputs = {name: _input(name, told, version) for name, told in self._given.items()}
        outputs = {name: _output(name, told, version.manifest) for name, told in self._told.items()}
        self._known(MappingProxyType(inputs), MappingProxyType(outputs))

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        super().close()
        self._interpreter = None

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        lacking = [name for name in self.inputs if name not in feeds]
        if lacking:
            raise ModelError(f"nothing goes into {', '.join(lacking)}")
        interpreter = self._interpreter
        resized = False
        for name, array in feeds.items():
            told = self._given[name]
            if tuple(told["shape"]) != array.shape:
                interpreter.resize_tensor_input(told["index"], array.shape)
                told["shape"] = np.array(array.shape)
                resized = True
        if resized:
            interpreter.allocate_tensors()
        for name, array in feeds.items():
            told = self._given[name]
            interpreter.set_tensor(told["index"], _quantised(array, told))
        interpreter.invoke()
        return {name: self._read(name) for name in wanted}

    def _read(self, name: str) -> NDArray[Any]:
        told = self._told[name]
        value: NDArray[Any] = self._interpreter.get_tensor(told["index"])
        if self.outputs[name].dtype == "float32" and value.dtype.name in _QUANTISED:
            scale, zero = told["quantization"]
            value = (value.astype(np.float32) - zero) * np.float32(scale)
        return value.astype(np.float32) if value.dtype == np.float16 else value


def _import_litert() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ConfigError(
            ".tflite models need LiteRT, which is not installed: pip install 'streamer[litert]'"
        ) from error
    return Interpreter


def _tensors(interpreter: Any, kind: str) -> dict[str, dict[str, Any]]:
    """Give inputs or outputs by their names in the one signature, else in the graph."""
    details = getattr(interpreter, f"get_{kind[:-1]}_details")()
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return {told["name"]: dict(told) for told in details}
    [signature] = signatures
    runner = interpreter.get_signature_runner(signature)
    return {
        name: dict(told) for name, told in getattr(runner, f"get_{kind[:-1]}_details")().items()
    }


def _input(name: str, told: Mapping[str, Any], version: Version) -> TensorInfo:
    dtype = np.dtype(told["dtype"]).name
    described = version.manifest.inputs.get(name)
    if dtype in _QUANTISED and told["quantization"][0] and described is not None:
        asked = getattr(described, "dtype", dtype)
        dtype = "float32" if asked == "float32" else dtype
    return TensorInfo(name, "string" if dtype == "object" else dtype, _shape(told))


def _output(name: str, told: Mapping[str, Any], manifest: Manifest) -> TensorInfo:
    dtype = np.dtype(told["dtype"]).name
    read = manifest.outputs.get(name)
    if dtype in _QUANTISED and told["quantization"][0] and (read is None or read.scale is None):
        dtype = "float32"
    return TensorInfo(name, dtype, _shape(told))


def _shape(told: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Give the sides as the file declares them; -1 is free."""
    sides = told["shape_signature"] if len(told["shape_signature"]) else told["shape"]
    return tuple(int(side) if side > 0 else None for side in sides)


def _quantised(array: NDArray[Any], told: Mapping[str, Any]) -> NDArray[Any]:
    target = np.dtype(told["dtype"])
    if array.dtype == target or target.name not in _QUANTISED:
        return array
    scale, zero = told["quantization"]
    limits = np.iinfo(target)
    stored: NDArray[Any] = np.clip(np.round(array / scale) + zero, limits.min, limits.max)
    return stored.astype(target)
