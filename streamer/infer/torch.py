"""Torch sessions: TorchScript, `torch.export`, and Hugging Face folders."""

import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, local
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.infer.archives import vet_exported, vet_torchscript
from streamer.infer.base import BaseSession, cleaned, is_memory
from streamer.infer.device import IN_FLIGHT, cuda_index, gpu_uuids
from streamer.infer.fusing import Front, fusion_for
from streamer.infer.mixing import refuse_mixing
from streamer.infer.pretrained import load_pretrained
from streamer.infer.session import TensorInfo
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.manifest import ImageInput, Manifest, TextInput

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_NUMBERED = re.compile(r"output_\d+")
_REDUCED = ("float16", "bfloat16")
_REST = ("kwargs", "_")

# Sessions of one model share its weights: modules in inference mode may run in several threads.
_SHARED: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
_LOADING = Lock()

Call = Callable[[dict[str, Any]], Any]
"""Runs a module with tensors by the names of its arguments."""


class TorchSession(BaseSession):
    """A model in Torch."""

    provider = "Torch"

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        super().__init__(version)
        tuning = tuning or Tuning()
        self._torch = torch = import_torch()
        self.device, self.fallback = placed(torch, device)
        torch.set_num_threads(threads)
        _limit_memory(torch, self.device, tuning.memory_bytes)
        if tuning.precision == "int8":
            raise ModelError(
                f"{version.file}: precision int8 is for ONNX files: `streamer models export`, then "
                "`streamer models quantize`"
            )
        self._float = getattr(torch, _DTYPES[tuning.precision]) if _named(tuning) else None
        self._call: Call | None
        self._call, inputs = self._loaded(version, tuning)
        self._front: Front | None = None
        self._fuse(version, tuning, inputs)
        self._streams = local()
        if (
            self.device != "cpu" and not tuning.compile
        ):  # compiled code is not known to be re-entrant
            self.in_flight = IN_FLIGHT
        names = list(self.manifest.outputs)
        self._known(
            MappingProxyType(inputs),
            MappingProxyType({name: TensorInfo(name, "float32", None) for name in names}),
        )

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        super().close()
        self._call = None
        if self.device != "cpu":
            self._torch.cuda.empty_cache()

    def _fuse(self, version: Version, tuning: Tuning, inputs: dict[str, TensorInfo]) -> None:
        """Take pictures as bytes, and normalise them on the device, where that is fused."""
        fusion = fusion_for(version, tuning, self.device)
        if fusion is None or fusion.tensor not in inputs:
            return
        self._front = Front(self._torch, fusion, self.device)
        self._picture = fusion.tensor
        self.manifest = fusion.manifest
        sides = inputs[fusion.tensor].shape
        if sides is not None and fusion.planar and len(sides) == len("NCHW"):
            sides = (sides[0], *sides[2:], sides[1])
        inputs[fusion.tensor] = TensorInfo(fusion.tensor, "uint8", sides)

    def _loaded(self, version: Version, tuning: Tuning) -> tuple[Call, dict[str, TensorInfo]]:
        suffix = version.file.suffix
        if suffix == ".pt2":
            return self._exported(version, tuning)
        if suffix in (".pt", ".ts", ".torchscript"):
            return self._script(version, tuning)
        module = _shared(version, self.device, tuning)
        self._float = module.dtype
        takes = [name for name in inspect.signature(module.forward).parameters if name not in _REST]
        inputs = _described(version.manifest, takes)
        compiled = self._compiled(module, tuning)
        return lambda tensors: compiled(**tensors, return_dict=True), inputs

    def _script(self, version: Version, tuning: Tuning) -> tuple[Call, dict[str, TensorInfo]]:
        vet_torchscript(version.file)
        if tuning.compile:
            raise ModelError(
                f"{version.file}: compile: TorchScript is compiled already; leave it out"
            )
        try:
            with warnings.catch_warnings():
                # Torch would rather see torch.export; these are models that people have.
                warnings.simplefilter("ignore", FutureWarning)
                module = self._torch.jit.load(str(version.file), map_location=self.device).eval()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{version.file}: cannot be loaded: {cleaned(error)}") from error
        if self._float is not None:
            module = module.to(self._float)
        takes = [argument.name for argument in module.forward.schema.arguments[1:]]
        inputs = _described(version.manifest, takes)
        places = dict.fromkeys(inputs, takes[0]) if len(takes) == 1 else {}

        def call(tensors: dict[str, Any]) -> Any:
            return module(**{places.get(name, name): value for name, value in tensors.items()})

        return call, inputs

    def _exported(self, version: Version, tuning: Tuning) -> tuple[Call, dict[str, TensorInfo]]:
        needs = vet_exported(version.file)
        if _named(tuning):
            raise ModelError(
                f"{version.file}: precision {tuning.precision}: a .pt2 computes in the types that "
                "it was exported with; export it in that precision, or leave precision out"
            )
        torch = self._torch
        try:
            for module in sorted(needs):
                importlib.import_module(module)
            program = torch.export.load(version.file)
            if self.device != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, self.device)
        except Exception as error:
            raise ModelError(f"{version.file}: cannot be loaded: {cleaned(error)}") from error
        compiled = self._compiled(program.module(), tuning)
        inputs = _program_inputs(program)
        from torch.utils._pytree import tree_unflatten

        spec = program.call_spec.in_spec

        def call(tensors: dict[str, Any]) -> Any:
            positional, named = tree_unflatten([tensors[name] for name in inputs], spec)
            return compiled(*positional, **named)

        return call, inputs

    def _compiled(self, module: Any, tuning: Tuning) -> Any:
        return self._torch.compile(module, dynamic=True) if tuning.compile else module

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        assert self._call is not None  # noqa: S101 - the caller has looked
        lacking = [name for name in self.inputs if name not in feeds]
        if lacking:
            raise ModelError(f"nothing goes into {', '.join(lacking)}")
        try:
            with self._torch.inference_mode(), self._stream():
                tensors = {name: self._tensor(name, array) for name, array in feeds.items()}
                outputs = self._by_name(self._call(tensors))
                return {name: self._array(name, outputs) for name in wanted}
        except RuntimeError as error:
            if self.device != "cpu" and is_memory(str(error)):
                self._torch.cuda.empty_cache()
            raise

    @contextmanager
    def _stream(self) -> Iterator[None]:
        """On a GPU, copy and compute on a stream of the thread's own: batches overlap."""
        if self.device == "cpu":
            yield
            return
        cuda = self._torch.cuda
        if not hasattr(self._streams, "own"):
            cuda.synchronize(self.device)  # the weights may still be on their way
            self._streams.own = cuda.Stream(self.device)
        with cuda.stream(self._streams.own):
            yield

    def _tensor(self, name: str, array: NDArray[Any]) -> Any:
        if array.dtype == object:
            raise ModelError("Torch takes no texts: give it token ids")
        tensor = self._torch.from_numpy(array if array.flags.writeable else array.copy())
        if self.device != "cpu":
            # Torch keeps pinned memory for the next batch; from it, the copy holds up nobody.
            tensor = tensor.pin_memory().to(self.device, non_blocking=True)
        if self._front is not None and name == self._picture:
            tensor = self._front(tensor)
        if self._float is not None and tensor.is_floating_point():
            return tensor.to(self._float)
        return tensor

    def _by_name(self, outputs: Any) -> Mapping[str, Any]:
        """Give outputs their names: the model's own, or those of the manifest in their order."""
        if isinstance(outputs, Mapping):
            return outputs
        names = list(self.manifest.outputs)
        values = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        if all(_NUMBERED.fullmatch(name) for name in names):
            return {f"output_{place}": value for place, value in enumerate(values)}
        if len(names) != len(values):
            raise ModelError(
                f"outputs: {len(names)} named, but forward gives {len(values)} without names: name "
                "each in its order, those that are not read with decode: ignore"
            )
        return dict(zip(names, values, strict=True))

    def _array(self, name: str, outputs: Mapping[str, Any]) -> NDArray[Any]:
        value = outputs.get(name)
        if not isinstance(value, self._torch.Tensor):
            has = ", ".join(
                f"'{key}'" for key, other in outputs.items() if hasattr(other, "detach")
            )
            raise ModelError(f"outputs: forward gives no tensor '{name}'; its tensors are {has}")
        value = value.cpu()
        if str(value.dtype).removeprefix("torch.") in _REDUCED:
            value = value.float()  # numpy has no bfloat16
        array: NDArray[Any] = np.ascontiguousarray(value.numpy())
        return array


def import_torch() -> Any:
    """Import Torch, or say which extra has it.

    Raises:
        ConfigError: it is not installed, or TensorFlow is in this process.
    """
    refuse_mixing("torch")
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "Torch models (.pt, .pt2, safetensors) need Torch, which is not installed: "
            "pip install 'streamer[torch]', or export the model to ONNX"
        ) from error
    torch.backends.cudnn.allow_tf32 = False  # it rounds factors to 10 bits
    return torch


def placed(torch: Any, device: str) -> tuple[str, str | None]:
    """Give Torch's name of a device, and why it is the CPU although `auto` found a GPU.

    Raises:
        ModelError: the GPU that is named cannot be used.
    """
    if device == "cpu":
        return "cpu", None
    works = torch.cuda.is_available()
    if device == "auto":
        if works:
            return "cuda:0", None
        return "cpu", _why(torch) if gpu_uuids() else None
    if not works:
        raise ModelError(f"device {device}: Torch cannot use CUDA: {_why(torch)}")
    index = cuda_index(device)
    count = torch.cuda.device_count()
    if index >= count:
        raise ModelError(
            f"device {device}: Torch sees {count} GPU(s), the last is cuda:{count - 1}"
        )
    return f"cuda:{index}", None


def _why(torch: Any) -> str:
    if torch.version.cuda is None:
        return "this Torch is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return cleaned(error)
    return "no GPU that it can use"


def _limit_memory(torch: Any, device: str, limit: int | None) -> None:
    if limit is None or device == "cpu":
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(limit / total, 1.0), device)


def _shared(version: Version, device: str, tuning: Tuning) -> Any:
    """Load a Hugging Face folder, or give the module that another session has of it."""
    written = version.file.stat().st_mtime_ns
    key = (version.file, written, version.manifest.task, device, tuning.precision)
    with _LOADING:
        module = _SHARED.get(key)
        if module is None:
            module = load_pretrained(
                version, device=device, precision=tuning.precision, allow_bin=tuning.allow_bin
            )
            _SHARED[key] = module
    return module


def _named(tuning: Tuning) -> bool:
    return tuning.precision != "auto"


def _described(manifest: Manifest, takes: list[str]) -> dict[str, TensorInfo]:
    """Take a module's inputs from the manifest: the module knows their names at the most."""
    inputs: dict[str, TensorInfo] = {}
    for name, tensor in manifest.inputs.items():
        if isinstance(tensor, TextInput):
            inputs |= {part: TensorInfo(part, tensor.dtype, None) for part in tensor.tensors}
        else:
            inputs[name] = TensorInfo(name, getattr(tensor, "dtype", "int64"), None)
        if isinstance(tensor, ImageInput) and tensor.mask is not None:
            inputs[tensor.mask] = TensorInfo(tensor.mask, "int64", None)
    unknown = [name for name in inputs if name not in takes]
    if unknown and not (len(takes) == len(inputs) == 1):
        raise ModelError(f"inputs: forward takes {', '.join(takes)}, but no '{unknown[0]}'")
    return inputs


def _program_inputs(program: Any) -> dict[str, TensorInfo]:
    """Read names, types and sides of an exported program's inputs."""
    wanted = set(program.graph_signature.user_inputs)
    inputs = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted:
            value = node.meta["val"]
            shape = tuple(side if isinstance(side, int) else None for side in value.shape)
            dtype = str(value.dtype).removeprefix("torch.")
            inputs[node.name] = TensorInfo(node.name, dtype, shape)
    return inputs
