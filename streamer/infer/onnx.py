"""ONNX Runtime sessions."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError, StreamerError
from streamer.graphs.front import with_front
from streamer.infer.base import BaseSession, cleaned
from streamer.infer.binding import Bound, Place, Replayed, replays
from streamer.infer.device import IN_FLIGHT, cuda_index
from streamer.infer.fusing import fusion_for, refuse_fusing
from streamer.infer.providers import CPU, CUDA, TENSORRT, chosen, missing_library
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.files import looked_at, twin_of

_TENSOR = re.compile(r"tensor\((\w+)\)")
_DTYPES = {"float": "float32", "double": "float64"}
_BESIDE = "session.model_external_initializers_file_folder_path"
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
_PRECISIONS = ("auto", "fp32", "fp16", "int8")


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
            self._open(runtime, version, providers, threads, tuning)
        except ModelError:
            lacking = missing_library(runtime, providers[0][0])
            if lacking is None:
                raise
            self._fall_back(lacking, device, tuning, providers[0][0])
            self._open(runtime, version, [(CPU, {})], threads, tuning)
        self.provider = self._session.get_providers()[0]
        if self.fallback is None and self.provider != providers[0][0]:
            lacking = missing_library(runtime, providers[0][0])
            why = lacking or "the provider loads, but finds no device that it can use"
            self._fall_back(why, device, tuning, providers[0][0])
        self.nodes = _placed(self._session)
        self._known(_infos(self._session.get_inputs()), _infos(self._session.get_outputs()))
        self._runner: Bound | Replayed | None = None
        if self.provider in (CUDA, TENSORRT):
            self._bind(runtime, ("cuda", cuda_index(self.device)), tuning)

    def _open(
        self,
        runtime: Any,
        version: Version,
        providers: list[tuple[str, dict[str, str]]],
        threads: int,
        tuning: Tuning,
    ) -> None:
        """Load the file, with the normalisation of pictures in front of it where that is fused."""
        graph: bytes | None = None
        fusion = fusion_for(version, tuning, self.device)
        if fusion is not None:
            try:
                graph = with_front(version.file, fusion)
                self.manifest = fusion.manifest
            except StreamerError as error:
                refuse_fusing(version, tuning, error)
        if graph is None:
            self.manifest = version.manifest
        self._session = _opened(runtime, version.file, graph, providers, threads, tuning)

    def _bind(self, runtime: Any, place: Place, tuning: Tuning) -> None:
        """Let runs have their tensors bound; two at once, unless CUDA replays a captured graph."""
        if replays(tuning):
            outputs = {name: self.outputs[name] for name in self._wanted}
            given = self._session, place, self.inputs, outputs, self.fixed
            self._runner = Replayed(runtime, *given)
            return
        self._runner = Bound(self._session, place, self.outputs)
        self.in_flight = IN_FLIGHT

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
        self._runner = self._session = None

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        if self._runner is None or any(array.dtype == object for array in feeds.values()):
            values = self._session.run(wanted, {name: _raw(array) for name, array in feeds.items()})
            return dict(zip(wanted, values, strict=True))
        return self._runner.run(feeds, wanted)


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
    """Refuse what only another file can give."""
    if tuning.precision not in _PRECISIONS:
        raise ModelError(
            f"precision {tuning.precision}: an ONNX file computes in the types that it was "
            "exported with; export it in that precision, or leave precision out"
        )


def _in_precision(version: Version, tuning: Tuning) -> Version:
    """Choose the twin of fewer bits where the topology asks for it; TensorRT makes fp16 itself."""
    precision = tuning.precision
    built = precision == "fp16" and tuning.provider == "tensorrt"
    if built or precision not in ("int8", "fp16"):
        return version
    file = twin_of(version.file, precision)
    if not file.is_file():
        raise ModelError(
            f"precision {precision}: {version.folder} has no {file.name}; make one with "
            f"`streamer models quantize {version.folder} --to DIR --data FILE "
            f"--precision {precision}`"
        )
    looked_at(file)
    return replace(version, file=file)


def _opened(  # noqa: PLR0913, PLR0917 - all that a session is opened with
    runtime: Any,
    file: Path,
    graph: bytes | None,
    providers: list[tuple[str, dict[str, str]]],
    threads: int,
    tuning: Tuning,
) -> Any:
    """Open a file, or the graph that was made of it; weights may lie beside the file."""
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
    if graph is not None:
        options.add_session_config_entry(_BESIDE, str(file.parent))
    for name, value in tuning.session_options.items():
        _set_option(runtime, options, name, value)
    try:
        # Its own fallback goes on with the CPU after an error on the GPU, and only prints it.
        return runtime.InferenceSession(
            graph or str(file), options, providers=providers, enable_fallback=0
        )
    except Exception as error:
        raise ModelError(f"{file}: cannot be loaded: {cleaned(error)}") from error


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
