"""Models of pictures: how `preprocessor_config.json` has them prepared."""

from typing import Any

from streamer.models.guess import layout_of
from streamer.models.huggingface.source import Source

_RESAMPLE = {
    0: "opencv-nearest",
    1: "pillow-lanczos",
    2: "pillow-bilinear",
    3: "pillow-bicubic",
}
# Processors whose `size: 224` means the shorter side; for the others it means both.
_SHORTEST_EDGE = ("ConvNext", "CLIP", "Levit", "MobileNet", "Poolformer", "Bit", "MobileViT")


def image_classifier(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a classifier of pictures.

    Raises:
        ModelError: something is missing; says what.
    """
    output = source.output("logits")
    return {"inputs": picture_input(source), "outputs": {output.name: {"decode": "logits"}}}


def picture_input(source: Source) -> dict[str, Any]:
    """Read how a picture becomes the model's first input.

    Raises:
        ModelError: something is missing; says what.
    """
    steps = source.read("preprocessor_config.json")
    if not steps:
        raise source.asking("how pictures are prepared: preprocessor_config.json is missing")
    tensor = source.graph.inputs[0]
    layout = layout_of(tensor) or ("NCHW", "RGB", None, None)
    image: dict[str, Any] = {
        "kind": "image",
        "layout": layout[0],
        "channels": layout[1],
        "dtype": tensor.dtype,
        "size": _size(steps),
        "resample": _RESAMPLE.get(steps.get("resample", 2), "pillow-bilinear"),
    }
    if not steps.get("do_resize", True):
        image["resize"] = "none"
    if steps.get("do_rescale", True):
        image["rescale_factor"] = steps.get("rescale_factor", 1 / 255)
    if steps.get("do_normalize", True):
        for key in ("image_mean", "image_std"):
            if key not in steps:
                raise source.asking(f"{key} (in preprocessor_config.json)")
            image[key] = steps[key]
    if steps.get("do_center_crop"):
        image |= {"do_center_crop": True, "crop_size": _square(steps.get("crop_size", 224))}
    return {tensor.name: image}


def _size(steps: dict[str, Any]) -> dict[str, int]:
    size = steps.get("size", 224)
    if isinstance(size, dict):
        return {key: size[key] for key in ("height", "width", "shortest_edge") if key in size}
    kind = str(steps.get("image_processor_type") or steps.get("feature_extractor_type") or "")
    if kind.startswith(_SHORTEST_EDGE):
        return {"shortest_edge": size}
    return _square(size)


def _square(size: Any) -> dict[str, int]:
    return size if isinstance(size, dict) else {"height": size, "width": size}
