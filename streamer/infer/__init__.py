"""Model inputs to arrays: sessions of the frameworks, behind one protocol."""

from typing import Literal

import structlog

from streamer.errors import ConfigError
from streamer.infer.fit import check_fit
from streamer.infer.isolated import IsolatedSession
from streamer.infer.onnx import OnnxSession
from streamer.infer.session import OutOfMemoryError, Session, TensorInfo
from streamer.infer.trial import tried
from streamer.models import Version

_log = structlog.get_logger(__name__)


def open_session(
    version: Version,
    *,
    device: str = "auto",
    threads: int = 1,
    isolation: Literal["none", "process"] = "none",
) -> Session:
    """Load a model onto a device.

    Args:
        version: what to load.
        device: `auto` (a GPU where one can be used, else the CPU), `cpu`, `cuda:N`, or a GPU's
            UUID. A GPU that is named is used or refused, never silently replaced.
        threads: threads that one run may use on a CPU.
        isolation: `process` for a process of its own, whose death costs one batch.

    Raises:
        ModelError: the file or the device cannot be used.
        ConfigError: the framework is not installed.
    """
    if isolation == "process":
        return IsolatedSession(version, device=device, threads=threads)
    if version.file.suffix != ".onnx":
        raise ConfigError(f"{version.file}: only .onnx models can be run; export the model to ONNX")
    session = OnnxSession(version, device=device, threads=threads)
    if session.fallback is not None:
        _log.warning(
            "device_fallback",
            model=version.manifest.name,
            version=version.manifest.version,
            device=session.device,
            reason=session.fallback,
        )
    if session.max_batch is None:
        trial = tried(version, session)
        if trial.size == 1:
            session.max_batch = 1
            _log.warning(
                "batch_is_not_free",
                model=version.manifest.name,
                version=version.manifest.version,
                reason=trial.error,
            )
    return session


__all__ = [
    "OutOfMemoryError",
    "Session",
    "TensorInfo",
    "check_fit",
    "open_session",
]
