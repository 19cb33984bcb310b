"""ONNX Runtime sessions."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.infer.base import BaseSession, cleaned
from streamer.infer.providers import CPU, CUDA, TENSORRT, chosen, missing_library
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.files import int8_of, looked_at

_TENSOR = re.compile(r"tensor\((\w+)\)")
_DTYPES = {"float": "float32", "double": "float64"}
_FATAL = 4  # what is an error to ONNX Runtime comes as an exception, too
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
_SWITCHES = (
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
    "enable_mem_reuse",
    "use_deterministic_compute",
)
_PRECISIONS = ("auto", "fp32", "int8")


class OnnxSession(BaseSession):
    """A model in ONNX Runtime."""

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        super().__init__(version)
        tuning = tuning or Tuning()
        runtime = _runtime()
        providers, self.device = chosen(runtime, device, tuning, version.file)
        _refuse_precision(tuning)
        version = _in_precision(version, tuning)
        self._session: Any
        try:
            self._session = _opened(runtime, version, providers, threads, tuning)
        except ModelError:
            lacking = missing_library(runtime, providers[0][0])
            if lacking is None:
                raise
            self._fall_back(lacking, device, tuning, providers[0][0])
            self._session = _opened(runtime, version, [(CPU, {})], threads, tuning)
        self.provider = self._session.get_providers()[0]
        if self.fallback is None and self.provider != providers[0][0]:
            lacking = missing_library(runtime, providers[0][0])
            why = lacking or "the provider loads, but finds no device that it can use"
            self._fall_back(why, device, tuning, providers[0][0])
        # Bound outputs are copied from the GPU once, when all are computed.
        self._bound = self.provider in (CUDA, TENSORRT)
        self.nodes = _placed(self._session)
        self._known(_infos(self._session.get_inputs()), _infos(self._session.get_outputs()))

    def _fall_back(self, why: str, device: str, tuning: Tuning, wanted: str) -> None:
        """Accept the CPU where nobody named a GPU; refuse it elsewhere."""
        told = wanted.removesuffix("ExecutionProvider")
        if device != "auto" or tuning.provider != "auto":
            asked = f"device {device}" if device != "auto" else f"provider {tuning.provider}"
            raise ModelError(f"{asked}: ONNX Runtime cannot use {told}: {why}")
        self.fallback = why
        self.device = "cpu"

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        super().close()
        self._session = None

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        if not self._bound or any(array.dtype == object for array in feeds.values()):
            values = self._session.run(wanted, {name: _raw(array) for name, array in feeds.items()})
            return dict(zip(wanted, values, strict=True))
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name in wanted:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return dict(zip(wanted, binding.copy_outputs_to_cpu(), strict=True))


def _raw(array: NDArray[Any]) -> NDArray[Any]:
    """Give bytes a type of fixed length: as objects, ONNX Runtime would read them as texts.

    Zeros fill the shorter ones; behind the end of an encoded picture nobody reads them.
    """
    if array.dtype != object or not array.size or not isinstance(array.flat[0], bytes):
        return array
    longest = max(len(value) for value in array.flat)
    joined = b"".join(value.ljust(longest, b"\0") for value in array.flat)
    return np.frombuffer(joined, f"V{longest}").reshape(array.shape)


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


def _refuse_precision(tuning: Tuning) -> None:
    """Refuse what only another file can give; TensorRT alone builds an engine in fp16."""
    builds = tuning.provider == "tensorrt" and tuning.precision == "fp16"
    if tuning.precision not in _PRECISIONS and not builds:
        raise ModelError(
            f"precision {tuning.precision}: an ONNX file computes in the types that it was "
            "exported with; export it in that precision, or leave precision out"
        )


def _in_precision(version: Version, tuning: Tuning) -> Version:
    """Choose the twin in eight bits where the topology asks for it."""
    if tuning.precision != "int8":
        return version
    file = int8_of(version.file)
    if not file.is_file():
        raise ModelError(
            f"precision int8: {version.folder} has no {file.name}; make one with "
            f"`streamer models quantize {version.folder} --to DIR --data FILE`"
        )
    looked_at(file)
    return replace(version, file=file)


def _opened(
    runtime: Any,
    version: Version,
    providers: list[tuple[str, dict[str, str]]],
    threads: int,
    tuning: Tuning,
) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # Patterns are kept for every shape seen: texts would fill the memory with them.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if threads > 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in tuning.session_options.items():
        _set_option(runtime, options, name, value)
    try:
        # Its own fallback goes on with the CPU after an error on the GPU, and only prints it.
        return runtime.InferenceSession(
            str(version.file), options, providers=providers, enable_fallback=0
        )
    except Exception as error:
        raise ModelError(f"{version.file}: cannot be loaded: {cleaned(error)}") from error


def _set_option(runtime: Any, options: Any, name: str, value: str) -> None:
    """Set one of `session_options`; a name with a dot is an entry of ONNX Runtime's config."""
    if "." in name:
        options.add_session_config_entry(name, value)
    elif name == "graph_optimization_level" and value in _LEVELS:
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, _LEVELS[value])
    elif name in _SWITCHES and value in ("true", "false"):
        setattr(options, name, value == "true")
    else:
        raise ModelError(
            f"session_options: {name}: {value}: known are graph_optimization_level "
            f"({', '.join(_LEVELS)}), {', '.join(_SWITCHES)} (true, false), and entries with a "
            "dot in their names, as in session.intra_op.allow_spinning"
        )


def _placed(session: Any) -> Mapping[str, int]:
    """Count the nodes that each provider computes."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:  # before 1.24
        return MappingProxyType({})
    counts: Counter[str] = Counter()
    for part in ask():
        counts[part.ep_name] += len(part.get_nodes())
    return MappingProxyType(dict(counts))


def _infos(arguments: list[Any]) -> Mapping[str, TensorInfo]:
    return MappingProxyType({argument.name: _info(argument) for argument in arguments})


def _info(argument: Any) -> TensorInfo:
    match = _TENSOR.fullmatch(argument.type)
    if match is None:
        kind = argument.type.partition("(")[0]
        return TensorInfo(argument.name, "sequence" if kind == "seq" else kind, None)
    dtype = _DTYPES.get(match[1], match[1])
    shape = tuple(
        side if isinstance(side, int) and side > 0 else None for side in argument.shape or ()
    )
    return TensorInfo(argument.name, dtype, shape)
