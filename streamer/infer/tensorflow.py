"""TensorFlow sessions: SavedModels, and frozen graphs by the names of their tensors."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.infer.base import BaseSession, cleaned
from streamer.infer.device import cuda_index, gpu_uuids
from streamer.infer.mixing import refuse_mixing
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning
from streamer.models import Version

_SAVED_MODEL = "saved_model.pb"
_SIGNATURE = "serving_default"
# What no model needs, and what a file from elsewhere must not do: run Python, touch files.
_FORBIDDEN = frozenset(
    (
        *("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles"),
        *("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2"),
        *("TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader", "TextLineDataset"),
        *("FixedLengthRecordReaderV2", "TFRecordDataset", "FixedLengthRecordDataset"),
        *("Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints", "PrintV2", "DebugIdentityV2"),
    )
)

Call = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Runs a graph with tensors by name."""


class TensorFlowSession(BaseSession):
    """A model in TensorFlow."""

    provider = "TensorFlow"

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        super().__init__(version)
        tuning = tuning or Tuning()
        if tuning.precision not in ("auto", "fp32"):
            raise ModelError(
                f"precision {tuning.precision}: a TensorFlow graph computes in the types that it "
                "was written with; leave precision out"
            )
        self._tf = tf = _import_tensorflow(threads)
        self.device, self.fallback, place = _placed(tf, device, tuning.memory_bytes)
        self._place = place
        self._call: Call | None
        with tf.device(place):
            if version.file.name == _SAVED_MODEL:
                self._call, inputs, outputs = _saved_model(tf, version.file)
            else:
                self._call, inputs, outputs = _frozen(tf, version)
        self._known(MappingProxyType(inputs), MappingProxyType(outputs))

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        super().close()
        self._call = None

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        assert self._call is not None  # noqa: S101 - the caller has looked
        lacking = [name for name in self.inputs if name not in feeds]
        if lacking:
            raise ModelError(f"nothing goes into {', '.join(lacking)}")
        with self._tf.device(self._place):
            tensors = {name: self._tf.constant(array) for name, array in feeds.items()}
            outputs = self._call(tensors)
        return {name: _array(outputs[name]) for name in wanted}


def _array(value: Any) -> NDArray[Any]:
    array: NDArray[Any] = value.numpy()
    if array.dtype == object:  # bytes to texts
        return np.array(
            [one.decode("utf-8", "replace") for one in array.ravel()], dtype=object
        ).reshape(array.shape)
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _import_tensorflow(threads: int) -> Any:
    refuse_mixing("tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConfigError(
            "TensorFlow models (SavedModel, .pb) need TensorFlow, which is not installed: "
            "pip install 'streamer[tensorflow]', or export the model to ONNX with tf2onnx"
        ) from error
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # another model of this process has settled it
    tf.config.experimental.enable_tensor_float_32_execution(enabled=False)  # 10-bit factors
    return tf


def _placed(tf: Any, device: str, memory_bytes: int | None) -> tuple[str, str | None, str]:
    """Give the device, why it is the CPU although `auto` found a GPU, and TensorFlow's name.

    Raises:
        ModelError: the GPU that is named cannot be used.
    """
    cpu = "/CPU:0"
    if device == "cpu":
        return "cpu", None, cpu
    gpus = tf.config.list_physical_devices("GPU")
    why = "this TensorFlow finds no GPU that it can use"
    if not gpus:
        if device != "auto":
            raise ModelError(f"device {device}: {why}: pip install 'tensorflow[and-cuda]'")
        return "cpu", why if gpu_uuids() else None, cpu
    index = 0 if device == "auto" else cuda_index(device)
    if index >= len(gpus):
        raise ModelError(f"device {device}: TensorFlow sees {len(gpus)} GPU(s)")
    try:
        if memory_bytes is None:
            tf.config.experimental.set_memory_growth(gpus[index], enable=True)
        else:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_bytes / 2**20)
            tf.config.set_logical_device_configuration(gpus[index], [limit])
    except RuntimeError:
        pass  # another model of this process has settled it
    return f"cuda:{index}", None, f"/GPU:{index}"


def _saved_model(tf: Any, file: Path) -> tuple[Call, dict[str, TensorInfo], dict[str, TensorInfo]]:
    try:
        loaded = tf.saved_model.load(str(file.parent))
    except Exception as error:
        raise ModelError(f"{file.parent}: cannot be loaded: {cleaned(error)}") from error
    signatures = loaded.signatures
    name = _SIGNATURE if _SIGNATURE in signatures else next(iter(signatures), None)
    if name is None or (name != _SIGNATURE and len(signatures) > 1):
        has = ", ".join(signatures) or "none"
        raise ModelError(f"{file.parent}: has no signature '{_SIGNATURE}'; its signatures: {has}")
    function = signatures[name]
    graph = function.graph.as_graph_def()
    _vet(file, graph)
    _, named = function.structured_input_signature
    inputs = {key: _info(key, spec) for key, spec in named.items()}
    outputs = {key: _info(key, spec) for key, spec in function.structured_outputs.items()}
    kept = loaded, function  # the function alone does not keep its variables

    def call(tensors: dict[str, Any]) -> Mapping[str, Any]:
        outputs: Mapping[str, Any] = kept[1](**tensors)
        return outputs

    return call, inputs, outputs


def _frozen(tf: Any, version: Version) -> tuple[Call, dict[str, TensorInfo], dict[str, TensorInfo]]:
    """Import a GraphDef and cut it to the tensors that the manifest names."""
    file = version.file
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(file.read_bytes())
    except Exception as error:
        raise ModelError(f"{file}: is no frozen graph of TensorFlow: {cleaned(error)}") from error
    _vet(file, graph)
    names_in = list(_input_names(version))
    names_out = list(version.manifest.outputs)

    def imported() -> None:
        tf.compat.v1.import_graph_def(graph, name="")

    try:
        wrapped = tf.compat.v1.wrap_function(imported, [])
    except Exception as error:
        raise ModelError(f"{file}: cannot be loaded: {cleaned(error)}") from error
    feeds = [_tensor(file, wrapped.graph, name, "inputs") for name in names_in]
    fetches = [_tensor(file, wrapped.graph, name, "outputs") for name in names_out]
    try:
        pruned = wrapped.prune(feeds, fetches)
    except Exception as error:
        raise ModelError(f"{file}: {cleaned(error)}") from error
    inputs = {name: _info(name, tensor) for name, tensor in zip(names_in, feeds, strict=True)}
    outputs = {name: _info(name, tensor) for name, tensor in zip(names_out, fetches, strict=True)}

    def call(tensors: dict[str, Any]) -> Mapping[str, Any]:
        return dict(zip(names_out, pruned(*(tensors[name] for name in names_in)), strict=True))

    return call, inputs, outputs


def _input_names(version: Version) -> Iterable[str]:
    for name, tensor in version.manifest.inputs.items():
        yield from getattr(tensor, "tensors", None) or [name]


def _tensor(file: Path, graph: Any, name: str, key: str) -> Any:
    """Find a tensor by its name, `image:0` or just `image`."""
    try:
        return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
    except (KeyError, ValueError) as error:
        placeholders = [f"{op.name}:0" for op in graph.get_operations() if op.type == "Placeholder"]
        used = {tensor.name for op in graph.get_operations() for tensor in op.inputs}
        ends = [
            tensor.name
            for op in graph.get_operations()
            for tensor in op.outputs
            if tensor.name not in used and op.type not in ("Placeholder", "Const", "NoOp")
        ]
        has = placeholders if key == "inputs" else ends
        raise ModelError(
            f"{file}: {key}: there is no tensor '{name}'; the graph has {', '.join(has)}"
        ) from error


def _vet(file: Path, graph: Any) -> None:
    """Refuse graphs that run Python or touch files."""
    functions = [node for function in graph.library.function for node in function.node_def]
    for node in [*graph.node, *functions]:
        if node.op in _FORBIDDEN:
            raise ModelError(f"{file}: does {node.op} ('{node.name}'), which no model needs")


def _info(name: str, spec: Any) -> TensorInfo:
    dtype = spec.dtype.base_dtype.name
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorInfo(name, dtype, shape)
