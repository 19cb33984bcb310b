"""Model inputs to arrays: sessions of the frameworks, behind one protocol."""

from dataclasses import replace
from typing import Literal, Protocol

import structlog

from streamer.errors import ConfigError, ModelError
from streamer.infer.base import BaseSession
from streamer.infer.fit import at_graph_length, check_fit
from streamer.infer.fusing import refuse_fusing
from streamer.infer.generate import GenerateSession
from streamer.infer.isolated import IsolatedSession
from streamer.infer.litert import LiteRtSession
from streamer.infer.onnx import OnnxSession
from streamer.infer.providers import CPU
from streamer.infer.session import OutOfMemoryError, Session, TensorInfo
from streamer.infer.tensorflow import TensorFlowSession
from streamer.infer.torch import TorchSession
from streamer.infer.trial import tried
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.tasks import WRITING

_log = structlog.get_logger(__name__)
_OF_TORCH = (".pt", ".ts", ".torchscript", ".pt2", ".safetensors", ".bin")
_FUSING = (OnnxSession, TorchSession)


def open_session(
    version: Version,
    *,
    device: str = "auto",
    threads: int = 1,
    isolation: Literal["none", "process"] = "none",
    tuning: Tuning | None = None,
) -> Session:
    """Load a model onto a device.

    Args:
        version: what to load.
        device: `auto` (a GPU where one can be used, else the CPU), `cpu`, `cuda:N`, or a GPU's
            UUID. A GPU that is named is used or refused, never silently replaced.
        threads: threads that one run may use on a CPU.
        isolation: `process` for a process of its own, whose death costs one batch.
        tuning: how it computes there.

    Raises:
        ModelError: the file or the device cannot be used.
        ConfigError: the framework is not installed.
    """
    if isolation == "process":
        return IsolatedSession(version, device=device, threads=threads, tuning=tuning)
    backend = _backend(version)
    if tuning is not None and tuning.fuse is True and backend not in _FUSING:
        told = ModelError(f"{version.file.name} is not run by ONNX Runtime or Torch")
        refuse_fusing(version, tuning, told)
    session = backend(version, device=device, threads=threads, tuning=tuning)
    if session.fallback is not None:
        _log.warning(
            "device_fallback",
            model=version.manifest.name,
            version=version.manifest.version,
            device=session.device,
            reason=session.fallback,
        )
    if tuning is not None and tuning.single:
        session.max_batch = 1
    elif session.max_batch is None:
        trial = tried(replace(version, manifest=session.manifest), session)
        if trial.size == 1:
            session.max_batch = 1
            _log.warning(
                "batch_is_not_free",
                model=version.manifest.name,
                version=version.manifest.version,
                reason=trial.error,
            )
    return session


class _Backend(Protocol):
    """A framework's sessions."""

    def __call__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None
    ) -> BaseSession: ...


def _backend(version: Version) -> _Backend:
    """Choose the framework by the file; what writes texts has sessions of its own.

    Raises:
        ConfigError: none can run it; says what to do.
    """
    file = version.file
    if version.manifest.task in WRITING:
        return GenerateSession
    if file.suffix == ".onnx":
        return OnnxSession
    if file.suffix == ".tflite":
        return LiteRtSession
    if file.suffix == ".pb":
        return TensorFlowSession
    if file.suffix in _OF_TORCH or file.name.endswith(".safetensors.index.json"):
        return TorchSession
    if file.suffix in (".h5", ".keras"):
        raise ConfigError(
            f"{file}: Keras files are not run: write the model as a SavedModel "
            "(model.export('saved_model')) or as .tflite, and name that"
        )
    raise ConfigError(f"{file}: no model file that is known here; export the model to ONNX")


__all__ = [
    "CPU",
    "OutOfMemoryError",
    "Session",
    "TensorInfo",
    "Tuning",
    "at_graph_length",
    "check_fit",
    "open_session",
]
