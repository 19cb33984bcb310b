"""Folders of timm: `pretrained_cfg` in their `config.json` says how pictures are prepared."""

import math
from typing import Any

from streamer.models.huggingface.source import Source

_RESAMPLE = {
    "bilinear": "pillow-bilinear",
    "bicubic": "pillow-bicubic",
    "lanczos": "pillow-lanczos",
}
_CROP = 0.875  # timm/data/constants.py: DEFAULT_CROP_PCT


def is_timm(config: dict[str, Any]) -> bool:
    """Whether a `config.json` is timm's."""
    return isinstance(config.get("pretrained_cfg"), dict)


def timm_labels(config: dict[str, Any]) -> dict[int, str]:
    """Give the labels, if the model brings them."""
    names = config.get("label_names") or config["pretrained_cfg"].get("label_names") or ()
    described = config.get("label_descriptions") or {}
    return {index: str(described.get(name, name)) for index, name in enumerate(names)}


def timm_picture(source: Source) -> dict[str, Any]:
    """Read how timm's evaluation prepares a picture (timm/data/transforms_factory.py).

    Raises:
        ModelError: in a way that is not known here, or it is not said how.
    """
    given = source.config["pretrained_cfg"]
    size, mode = given.get("input_size"), given.get("crop_mode") or "center"
    resample = _RESAMPLE.get(str(given.get("interpolation", "bicubic")))
    for key in ("input_size", "mean", "std"):
        if not isinstance(given.get(key), list):
            raise source.asking(f"pretrained_cfg.{key} (in config.json)")
    channels, height, width = size
    if resample is None or mode not in ("center", "squash") or channels not in (1, 3):
        raise source.asking(
            f"how a picture with interpolation {given.get('interpolation')}, crop_mode {mode} and "
            f"{channels} channels is prepared"
        )
    share = given.get("crop_pct") or _CROP
    scaled = [math.floor(side / share) for side in (height, width)]
    if mode == "center" and height != width:
        raise source.asking("how a picture that is no square is cut by crop_mode center")
    resized = (
        {"shortest_edge": scaled[0]}
        if mode == "center"
        else {"height": scaled[0], "width": scaled[1]}
    )
    image: dict[str, Any] = {
        "kind": "image",
        "channels": "RGB" if channels == 3 else "GRAY",  # noqa: PLR2004
        "dtype": source.graph.inputs[0].dtype,
        "size": resized,
        "resample": resample,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "crop_rounding": "even",
        "rescale_factor": 1 / 255,
        "image_mean": given["mean"],
        "image_std": given["std"],
    }
    return {source.graph.inputs[0].name: image}
