"""A run with made-up inputs: whether the model runs at all, and whether its batch is free."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.errors import StreamerError
from streamer.infer.session import Session, TensorInfo
from streamer.models import Version
from streamer.models.manifest import ImageBytesInput, ImageInput, ImageSizeInput, TextInput

_TOKENS = 8
_SIDE = 64
_FREE = 2


@dataclass(frozen=True)
class Trial:
    """What came of it.

    Attributes:
        outputs: of the largest batch that ran; None if not even one item did.
        error: why one item, or else two, did not run.
    """

    outputs: Mapping[str, Any] | None
    size: int
    error: str | None


def tried(version: Version, session: Session) -> Trial:
    """Run two items, and where that fails, one; or as many as the file fixes.

    A batch declared free may be none: a graph that reshapes to one item fails with two, or mixes
    them into outputs that do not begin with the batch.
    """
    sizes = (_FREE, 1) if session.max_batch is None else (session.max_batch,)
    error = None
    for items in sizes:
        try:
            outputs = session.run(made_up(version, session.inputs, items))
        except StreamerError as failure:
            error = str(failure)
            continue
        if items == 1 or all(_rows(value) == items for value in outputs.values()):
            return Trial(outputs, items, error)
        rows = ", ".join(f"'{name}' {_rows(value)}" for name, value in outputs.items())
        error = f"of {items} items came: {rows}"
    return Trial(None, 0, error)


def made_up(
    version: Version, inputs: Mapping[str, TensorInfo], items: int
) -> dict[str, NDArray[Any]]:
    """Make inputs of a likely shape: zeros, with a mask of ones, and texts that end."""
    feeds: dict[str, NDArray[Any]] = {}
    for name, tensor in version.manifest.inputs.items():
        if isinstance(tensor, ImageInput) and name in inputs:
            picture = _picture(tensor, inputs[name])
            feeds[name] = np.zeros((items, *picture), _numpy(tensor.dtype))
            if tensor.mask is not None:
                sides = picture[:2] if tensor.layout == "NHWC" else picture[1:]
                feeds[tensor.mask] = np.ones((items, *sides), np.bool_)
        elif isinstance(tensor, ImageBytesInput):
            feeds[name] = _encoded(tensor, items)
        elif isinstance(tensor, ImageSizeInput):
            rows = np.where(np.array(tensor.values) == "one", 1, _SIDE)
            rows = np.where(np.char.startswith(tensor.values, "scale"), 1, rows)
            feeds[name] = np.tile(rows, (items, 1)).astype(tensor.dtype)
        elif isinstance(tensor, TextInput):
            length = min(_TOKENS, tensor.max_length)
            for part, takes in tensor.tensors.items():
                if part in inputs:
                    feeds[part] = _text_part(inputs[part], takes, items, length)
                    if takes == "ids":
                        feeds[part][:, -1] = _end(version)
    return feeds


def picture_size(tensor: ImageInput) -> tuple[int | None, int | None]:
    """Give height and width of a picture as it enters the model; None where pictures differ."""
    if tensor.pad_size is not None:
        return tensor.pad_size.height, tensor.pad_size.width
    if tensor.size_divisor is not None:
        return None, None
    if tensor.cropped is not None:
        return tensor.cropped.height, tensor.cropped.width
    if tensor.resize_rule in ("stretch", "letterbox"):
        edge = tensor.size.shortest_edge
        return tensor.size.height or edge, tensor.size.width or edge
    return None, None


def _picture(tensor: ImageInput, info: TensorInfo) -> tuple[int, ...]:
    height, width = picture_size(tensor)
    shape = info.shape if info.shape and len(info.shape) == len("NCHW") else (None,) * 4
    planes = 1 if tensor.channels == "GRAY" else 3
    default = tensor.size.shortest_edge or _SIDE
    step = tensor.size_divisor or tensor.side_divisor or 1
    default = -(-default // step) * step
    if tensor.layout == "NHWC":
        return height or shape[1] or default, width or shape[2] or default, planes
    return planes, height or shape[2] or default, width or shape[3] or default


def _encoded(tensor: ImageBytesInput, items: int) -> NDArray[Any]:
    """Encode a grey picture; the bytes of several can't be told apart, so it is one then."""
    _, encoded = cv2.imencode(".jpg", np.full((_SIDE, _SIDE, 3), 127, np.uint8))
    if tensor.dtype == "uint8":
        return encoded.ravel()
    return np.array([encoded.tobytes()] * items, dtype=object)


def _text_part(info: TensorInfo, takes: str, items: int, length: int) -> NDArray[Any]:
    if takes == "string":
        return np.full(items, "a", dtype=object)
    fixed = info.shape[1] if info.shape and len(info.shape) == _FREE else None
    value = 1 if takes == "mask" else 0
    return np.full((items, fixed or length), value, dtype=_numpy(info.dtype))


def _end(version: Version) -> int:
    """Give the token that ends a text, where the folder tells: some models look for it (BART)."""
    file = version.folder / "config.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError):
        return 0  # whether the file is any good is the business of those who need it
    end = told.get("eos_token_id") if isinstance(told, dict) else None
    return end if isinstance(end, int) else 0


def _numpy(dtype: str) -> np.dtype[Any]:
    return np.dtype(object if dtype == "string" else dtype)


def _rows(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.shape[0] if value.ndim else 1
    return len(value)
