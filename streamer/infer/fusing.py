"""Whether pictures are normalised in front of the model, on its device."""

from typing import Any

import structlog

from streamer.errors import ConfigError, ModelError, StreamerError
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.fused import Fusion, fusion_of

_log = structlog.get_logger(__name__)


def fusion_for(version: Version, tuning: Tuning, device: str) -> Fusion | None:
    """Give what a session on this device does with pictures; None if the CPU does it.

    Raises:
        ModelError: the topology wants it, and it cannot be.
    """
    if tuning.fuse is False or (tuning.fuse == "auto" and device == "cpu"):
        return None
    try:
        return fusion_of(version.manifest)
    except ModelError as error:
        refuse_fusing(version, tuning, error)
        return None


def refuse_fusing(version: Version, tuning: Tuning, error: StreamerError) -> None:
    """Pass over what cannot be fused, unless the topology wants it.

    Raises:
        ModelError: it wants it.
        ConfigError: the same, and something is not installed.
    """
    if tuning.fuse is True:
        kind = ConfigError if isinstance(error, ConfigError) else ModelError
        raise kind(f"fuse: true: {error}; leave it out") from error
    _log.debug("nothing is fused", model=version.manifest.name, why=str(error))


class Front:
    """The work in front of a model in Torch, on the device that its pictures were moved to."""

    def __init__(self, torch: Any, fusion: Fusion, device: str) -> None:
        self._torch = torch
        self._fusion = fusion
        self._scale = torch.from_numpy(fusion.scale).to(device)
        self._shift = torch.from_numpy(fusion.shift).to(device)

    def __call__(self, pixels: Any) -> Any:
        """Give what the model's tensor takes of uint8 [N, height, width, channels]."""
        fusion = self._fusion
        values = (pixels.flip(-1) if fusion.flipped else pixels).to(self._torch.float32)
        if not fusion.as_is:
            values = values.mul_(self._scale).add_(self._shift)
        if fusion.planar:
            values = values.permute(0, 3, 1, 2).contiguous()
        return values.to(self._torch.float16) if fusion.dtype == "float16" else values
