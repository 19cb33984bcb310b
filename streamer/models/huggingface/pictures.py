"""Models of pictures: how `preprocessor_config.json` has them prepared."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from streamer.models.graph import layout_of
from streamer.models.huggingface.source import Source
from streamer.models.huggingface.timm import is_timm, timm_picture

_RESAMPLE = {
    0: "pillow-nearest",
    1: "pillow-lanczos",
    2: "pillow-bilinear",
    3: "pillow-bicubic",
    4: "pillow-box",
    5: "pillow-hamming",
}
_NO_EDGE = 384
"""ConvNeXt's pictures of this side and more are stretched."""
# Processors whose `size: 224` means the shorter side; for the others it means both.
_SHORTEST_EDGE = (
    "ConvNext",
    "CLIP",
    "Levit",
    "MobileNet",
    "PoolFormer",
    "Poolformer",
    "Bit",
    "MobileViT",
    "MobileVit",
)
# What processors do where their file does not say whether they normalise.
_NOT_NORMALISED = ("MobileViT", "MobileVit", "RTDetr", "GLPN")
_SOFTMAX_DETECTORS = ("detr", "yolos", "table-transformer")
# How many (box, label) pairs the processor keeps; None: as many as there are boxes.
_SIGMOID_DETECTORS: Mapping[str, int | None] = MappingProxyType(
    {
        "conditional_detr": 100,
        "dab-detr": 100,
        "deformable_detr": 100,
        "lw_detr": 100,
        "deimv2": None,
        "rt_detr": None,
        "rt_detr_v2": None,
        "d_fine": None,
    }
)
_QUERIES = 300

Image = dict[str, Any]


def image_classifier(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a classifier of pictures.

    Raises:
        ModelError: something is missing; says what.
    """
    output = source.output("logits")
    return {"inputs": picture_input(source), "outputs": {output.name: {"decode": "logits"}}}


def image_features(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a model whose vectors are answered.

    Raises:
        ModelError: something is missing; says what.
    """
    output = source.output("image_embeds", "last_hidden_state")
    return {
        "inputs": picture_input(source),
        "outputs": {output.name: {"decode": "embedding", "pooling": "none"}},
    }


def object_detector(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a detector.

    Raises:
        ModelError: something is missing, or its class is not known; says what.
    """
    kind = str(source.config.get("model_type"))
    postprocess: dict[str, Any] = {}
    if kind in _SOFTMAX_DETECTORS:
        decode = "detr"
    elif kind in _SIGMOID_DETECTORS:
        decode = "detr-sigmoid"
        top = _SIGMOID_DETECTORS[kind] or source.config.get("num_queries") or _QUERIES
        postprocess["top_k"] = top
    else:
        raise source.asking(f"how the outputs of a model of the kind '{kind}' are read as boxes")
    return {
        "inputs": picture_input(source),
        "outputs": {"logits": {"decode": decode}, "pred_boxes": {"decode": "boxes"}},
        "postprocess": postprocess,
    }


def picture_input(source: Source) -> dict[str, Any]:
    """Read how a picture becomes the model's first input.

    Raises:
        ModelError: something is missing; says what.
    """
    if is_timm(source.config):
        return timm_picture(source)
    steps = source.read("preprocessor_config.json")
    if not steps:
        raise source.asking("how pictures are prepared: preprocessor_config.json is missing")
    tensor = source.graph.inputs[0]
    layout = layout_of(tensor) or ("NCHW", "RGB", None, None)
    image: Image = {
        "kind": "image",
        "layout": layout[0],
        "channels": layout[1],
        "dtype": tensor.dtype,
        "size": _size(steps),
        "resample": _RESAMPLE.get(steps.get("resample", 2), "pillow-bilinear"),
    }
    if not steps.get("do_resize", True):
        image["resize"] = "none"
    if steps.get("do_center_crop"):
        image |= {"do_center_crop": True, "crop_size": _square(steps.get("crop_size", 224))}
    if steps.get("pad_size"):
        image["pad_size"] = _square(steps["pad_size"])
    if any(other.name == "pixel_mask" for other in source.graph.inputs):
        image["mask"] = "pixel_mask"
    _read_values(source, steps, image)
    for beginning, change in _PECULIAR.items():
        if _kind(steps).startswith(beginning):
            change(steps, image)
    return {tensor.name: image}


def _read_values(source: Source, steps: dict[str, Any], image: Image) -> None:
    """Read what is done with pixels once they are in place."""
    if steps.get("do_rescale", True):
        image["rescale_factor"] = steps.get("rescale_factor", 1 / 255)
    if steps.get("do_flip_channel_order"):
        image["channels"] = "BGR"
    normalises = not _kind(steps).startswith(_NOT_NORMALISED)
    told = steps.get("do_normalize")
    if normalises if told is None else told:
        for key in ("image_mean", "image_std"):
            if steps.get(key) is None:
                raise source.asking(f"{key} (in preprocessor_config.json)")
            image[key] = steps[key]


def _kind(steps: dict[str, Any]) -> str:
    return str(steps.get("image_processor_type") or steps.get("feature_extractor_type") or "")


def _size(steps: dict[str, Any]) -> dict[str, int]:
    size = steps.get("size", 224)
    if isinstance(size, dict):
        keys = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
        return {key: size[key] for key in keys if size.get(key) is not None}
    if steps.get("max_size"):
        return {"shortest_edge": size, "longest_edge": steps["max_size"]}
    if _kind(steps).startswith(_SHORTEST_EDGE):
        return {"shortest_edge": size}
    return _square(size)


def _square(size: Any) -> dict[str, int]:
    if isinstance(size, dict):
        return {key: size[key] for key in ("height", "width")}
    return {"height": size, "width": size}


def _convnext(steps: dict[str, Any], image: Image) -> None:
    edge = image["size"].get("shortest_edge")
    if edge is None or not steps.get("do_resize", True):
        return
    if edge >= _NO_EDGE:
        image["resize"] = "stretch"
    else:
        image["crop_pct"] = steps.get("crop_pct") or 224 / 256


def _levit(_: dict[str, Any], image: Image) -> None:
    edge = image["size"].get("shortest_edge")
    if edge is not None:
        image["size"] = {"shortest_edge": int((256 / 224) * edge)}


def _poolformer(steps: dict[str, Any], image: Image) -> None:
    share = steps.get("crop_pct")
    size = image["size"]
    edge = size.get("shortest_edge") or size.get("height")
    if share is None or edge is None:
        return
    if size.get("height", edge) == size.get("width", edge):
        image["size"] = {"shortest_edge": int(edge / share)}
    else:
        image["size"] = {key: int(side / share) for key, side in size.items()}


def _efficientnet(steps: dict[str, Any], image: Image) -> None:
    """Take an offset into the mean, and the second division into the deviation."""
    mean, std = image.get("image_mean", [0.0] * 3), image.get("image_std", [1.0] * 3)
    if steps.get("rescale_offset"):
        mean = [value + 1 for value in mean]
    if steps.get("include_top", True):
        last = steps.get("image_std", [1.0] * 3)
        std = [value * other for value, other in zip(std, last, strict=True)]
    image |= {"image_mean": mean, "image_std": std}


def _yolos(_: dict[str, Any], image: Image) -> None:
    image["side_divisor"] = 16


_PECULIAR: Mapping[str, Callable[[dict[str, Any], Image], None]] = MappingProxyType(
    {
        "ConvNext": _convnext,
        "Levit": _levit,
        "PoolFormer": _poolformer,
        "Poolformer": _poolformer,
        "EfficientNet": _efficientnet,
        "Yolos": _yolos,
    }
)
