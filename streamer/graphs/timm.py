"""Networks of timm, from a folder with `config.json` and safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamer.errors import ConfigError, ModelError


def load_timm(file: Path, config: Mapping[str, Any]) -> Any:
    """Load weights into the architecture that `config.json` names; nothing is downloaded.

    Args:
        file: the safetensors.
        config: what `config.json` says: `architecture`, `num_classes`, `model_args`.

    Returns:
        A module in evaluation mode, in single precision.

    Raises:
        ConfigError: timm is not installed.
        ModelError: timm has no such architecture, or the weights are not its own.
    """
    try:
        import timm
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigError(
            f"{file.parent}: is a model of timm, which is not installed: "
            "pip install 'streamer[torch]' timm"
        ) from error
    if file.suffix != ".safetensors":
        raise ModelError(f"{file}: models of timm are read from one file of safetensors")
    try:
        network = timm.create_model(
            config["architecture"],
            num_classes=config.get("num_classes"),
            **(config.get("model_args") or {}),
        )
        network.load_state_dict(load_file(file))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{file.parent}: timm cannot load it: {told:.400}") from error
    return network.float().eval()
