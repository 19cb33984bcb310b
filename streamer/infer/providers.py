"""What ONNX Runtime computes with: its execution providers and their options."""

import ctypes
import hashlib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from streamer.errors import ModelError
from streamer.infer.device import cuda_index, gpu_uuids
from streamer.infer.tuning import Tuning

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_NAMES = {
    "cpu": CPU,
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_PACKAGES = {
    "cuda": "pip uninstall onnxruntime, then pip install 'streamer[gpu]'",
    "tensorrt": "pip uninstall onnxruntime, then pip install 'streamer[gpu]' and TensorRT",
    "openvino": "pip uninstall onnxruntime, then pip install onnxruntime-openvino",
    "coreml": "it comes with onnxruntime on macOS only",
    "directml": "pip uninstall onnxruntime, then pip install onnxruntime-directml (Windows)",
}
_ON_GPU = ("cuda", "tensorrt")


def chosen(
    runtime: Any, device: str, tuning: Tuning, file: Path
) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """Choose providers, the first one first, and name the device.

    Raises:
        ModelError: what is named is not there.
    """
    wanted = tuning.provider
    cpu: tuple[str, dict[str, str]] = (CPU, {})
    if wanted in ("openvino", "coreml", "directml"):
        _refuse_absent(runtime, wanted, f"provider {wanted}")
        return [(_NAMES[wanted], dict(tuning.provider_options)), cpu], device_of(device)
    if wanted == "cpu" or (wanted == "auto" and device == "cpu"):
        if device not in ("auto", "cpu"):
            raise ModelError(f"device {device}: provider cpu cannot use it; leave one of them out")
        return [(CPU, dict(tuning.provider_options))], "cpu"
    if wanted in _ON_GPU and device == "cpu":
        raise ModelError(f"provider {wanted}: needs a GPU; device: cpu names none")
    named = wanted in _ON_GPU or device != "auto"
    told = f"device {device}" if device != "auto" else f"provider {wanted}"
    if named:
        _refuse_absent(runtime, "tensorrt" if wanted == "tensorrt" else "cuda", told)
    elif CUDA not in runtime.get_available_providers() or not gpu_uuids():
        return [cpu], "cpu"
    index = 0 if device == "auto" else cuda_index(device)
    if hasattr(runtime, "preload_dlls"):
        with redirect_stdout(StringIO()):  # what is missing is told by `missing_library`
            runtime.preload_dlls()
    cuda = (CUDA, _cuda_options(index, tuning))
    if wanted == "tensorrt":
        return [(TENSORRT, _tensorrt_options(index, tuning, file)), cuda, cpu], f"cuda:{index}"
    return [(CUDA, cuda[1] | dict(tuning.provider_options)), cpu], f"cuda:{index}"


def device_of(device: str) -> str:
    """Name the device of a provider that finds its own: what was asked for, else the CPU."""
    return "cpu" if device == "auto" else device


def missing_library(runtime: Any, provider: str) -> str | None:
    """Ask the loader what a provider of NVIDIA's lacks; ONNX Runtime only prints it."""
    stem = {CUDA: "cuda", TENSORRT: "tensorrt"}.get(provider)
    if stem is None:
        return None
    library = Path(runtime.__file__).parent / "capi" / f"libonnxruntime_providers_{stem}.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return None


def _refuse_absent(runtime: Any, name: str, told: str) -> None:
    if _NAMES[name] in runtime.get_available_providers():
        return
    what = {"cuda": "CUDA", "tensorrt": "TensorRT"}.get(name, name)
    raise ModelError(f"{told}: this ONNX Runtime has no {what} provider: {_PACKAGES[name]}")


def _cuda_options(index: int, tuning: Tuning) -> dict[str, str]:
    # TF32 rounds factors to 10 bits; by default the arena doubles whenever it grows.
    options = {
        "device_id": str(index),
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }
    if tuning.memory_bytes is not None:
        options["gpu_mem_limit"] = str(tuning.memory_bytes)
    return options


def _tensorrt_options(index: int, tuning: Tuning, file: Path) -> dict[str, str]:
    """Keep engines: building one takes minutes. TensorRT itself names them by GPU and version."""
    kept = engine_directory(file)
    kept.mkdir(parents=True, exist_ok=True)
    options = {
        "device_id": str(index),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(kept),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(kept),
        "trt_fp16_enable": "1" if tuning.precision == "fp16" else "0",
    }
    if tuning.memory_bytes is not None:
        options["trt_max_workspace_size"] = str(tuning.memory_bytes)
    return options | dict(tuning.provider_options)


def engine_directory(file: Path) -> Path:
    """Give the directory of a model file's engines, in the user's cache."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return user_cache_path("streamer") / "engines" / digest[:16]
