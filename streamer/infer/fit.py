"""Whether a manifest and a graph speak of the same thing; found before anything is consumed."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from streamer.config.files import suggestion
from streamer.errors import ModelError
from streamer.infer.fit_boxes import check_boxes, check_side
from streamer.infer.plausible import check_values
from streamer.infer.session import Session, TensorInfo
from streamer.infer.trial import picture_size, tried
from streamer.models import Version
from streamer.models.manifest import (
    ConstantInput,
    ImageBytesInput,
    ImageInput,
    ImageSizeInput,
    Manifest,
    Output,
    TextInput,
)

_PICTURE_RANK = 4
_TOKEN_DTYPES = ("int64", "int32")
_FLAT = ("logits", "probabilities")
_RANKS: Mapping[str, tuple[int, ...]] = {
    "logits": (1, 2),
    "probabilities": (1, 2),
    "label": (1, 2),
    "tokens": (2,),
    "embedding": (2, 3, 4),
    "score": (1, 2),
    "yolox": (3,),
    "yolov5": (3,),
    "yolov8": (3,),
    "yolov2": (4, 5),
    "yolov3": (4, 5),
    "yolov5-raw": (4, 5),
    "detections": (2, 3, 4),
    "boxes": (2, 3, 4),
    "scores": (1, 2, 3, 4),
    "detr": (3,),
    "detr-sigmoid": (3,),
    "ssd": (2, 3, 4),
    "objectness": (2, 3, 4),
    "landmarks": (2, 3, 4),
    "labels": (1, 2),
    "count": (1, 2),
    "indices": (2, 3),
    "priors": (2, 3),
    "heatmap": (4,),
    "sizes": (4,),
    "offsets": (4,),
}
_WHOLE = ("uint8", "int8", "uint16", "int16", "int32", "int64")
_WHOLE_DECODES = ("label", "labels", "count", "indices", "tokens")
_TAGGING = "token-classification"


def check_fit(version: Version, session: Session) -> None:
    """Compare a version's manifest, as the session takes it, with its loaded graph.

    Raises:
        ModelError: naming the tensor, what there is and what would be right.
    """
    version = replace(version, manifest=session.manifest)
    try:
        _check_inputs(version, session)
        _check_outputs(version, session)
        _check_trial(version, session)
    except ModelError as error:
        where = version.folder / "model.yaml"
        place = where if where.is_file() else version.file
        raise ModelError(f"{place}: {error}") from error


def at_graph_length(manifest: Manifest, tensors: Mapping[str, TensorInfo]) -> Manifest:
    """Have texts padded, by their tokenizer's rule, to the length that a graph's tensors fix."""
    inputs = dict(manifest.inputs)
    for name, tensor in manifest.inputs.items():
        if isinstance(tensor, TextInput):
            shapes = [tensors[part].shape for part in tensor.tensors if part in tensors]
            lengths = [s[1] for s in shapes if s is not None and len(s) == 2 and s[1] is not None]  # noqa: PLR2004
            if lengths and "string" not in tensor.tensors.values():
                padded = {"padding": "longest", "min_length": max(lengths)}
                inputs[name] = tensor.model_copy(update=padded)
    return manifest.model_copy(update={"inputs": inputs})


def _check_trial(version: Version, session: Session) -> None:
    """Look at outputs that were really computed: a graph may leave their sides free."""
    trial = tried(version, session)
    if trial.outputs is None:
        raise ModelError(f"the model does not run with inputs as described: {trial.error}")
    for name, value in trial.outputs.items():
        if isinstance(value, np.ndarray):
            info = TensorInfo(name, str(value.dtype), (None, *value.shape[1:]))
            _check_output(version, version.manifest.outputs[name], info)
            check_values(version, name, value)


def _check_inputs(version: Version, session: Session) -> None:
    described: set[str] = set()
    for name, tensor in version.manifest.inputs.items():
        if isinstance(tensor, TextInput):
            for part, takes in tensor.tensors.items():
                info = _named(part, session.inputs, f"inputs.{name}.tensors", "input")
                _check_text(info, takes, tensor, name)
                described.add(part)
            continue
        info = _named(name, session.inputs, "inputs", "input")
        described.add(name)
        if isinstance(tensor, ImageInput):
            _check_image(info, tensor)
            if tensor.mask is not None:
                _named(tensor.mask, session.inputs, f"inputs.{name}.mask", "input")
                described.add(tensor.mask)
        elif isinstance(tensor, ImageBytesInput | ImageSizeInput):
            _check_dtype(info, tensor.dtype)
        elif isinstance(tensor, ConstantInput) and tensor.dtype != info.dtype:
            raise ModelError(f"inputs.{name}: dtype: {tensor.dtype}, but the tensor is {info}")
    forgotten = [str(info) for name, info in session.inputs.items() if name not in described]
    if forgotten:
        raise ModelError(f"inputs: the graph also takes {', '.join(forgotten)}; say what goes in")


def _named(name: str, tensors: Mapping[str, TensorInfo], key: str, kind: str) -> TensorInfo:
    info = tensors.get(name)
    if info is not None:
        return info
    has = ", ".join(str(tensor) for tensor in tensors.values())
    hint = suggestion(name, tensors) if len(tensors) > 1 else ""
    if "known are" in hint:
        hint = ""
    raise ModelError(f"{key}: there is no {kind} tensor '{name}'; the graph has {has}{hint}")


def _check_dtype(info: TensorInfo, dtype: str) -> None:
    if info.dtype != dtype:
        raise ModelError(f"inputs.{info.name}.dtype: says {dtype}, the tensor is {info}")


def _check_image(info: TensorInfo, tensor: ImageInput) -> None:
    key = f"inputs.{info.name}"
    _check_dtype(info, tensor.dtype)
    if info.shape is None:
        return
    if len(info.shape) != _PICTURE_RANK:
        raise ModelError(f"{key}: a picture needs 4 dimensions, the tensor is {info}")
    planes = 1 if tensor.channels == "GRAY" else 3
    height, width = picture_size(tensor)
    nchw = tensor.layout == "NCHW"
    expected = (planes, height, width) if nchw else (height, width, planes)
    for said, there in zip(expected, info.shape[1:], strict=True):
        if said is not None and there is not None and said != there:
            sides = ",".join(str(side or "?") for side in expected)
            raise ModelError(
                f"{key}: layout, channels and size give [N,{sides}], the tensor is {info}"
            )


def _check_text(info: TensorInfo, takes: str, tensor: TextInput, name: str) -> None:
    key = f"inputs.{name}.tensors.{info.name}"
    if takes == "string":
        if info.dtype != "string":
            raise ModelError(f"{key}: 'string' needs a string tensor, this one is {info}")
        return
    if info.dtype not in _TOKEN_DTYPES or (info.shape is not None and len(info.shape) != 2):  # noqa: PLR2004
        raise ModelError(f"{key}: '{takes}' needs an int64 or int32 [N,length], this one is {info}")
    length = info.shape[1] if info.shape else None
    if length is not None and length < tensor.max_length:
        raise ModelError(
            f"inputs.{name}.max_length: says {tensor.max_length}, the tensor is {info}: "
            f"write {length} at the most"
        )


def _check_outputs(version: Version, session: Session) -> None:
    for name, output in version.manifest.outputs.items():
        info = _named(name, session.outputs, "outputs", "output")
        if output.decode != "ignore":
            _check_output(version, output, info)


def _check_output(version: Version, output: Output, info: TensorInfo) -> None:
    """Compare rank and sides of an output with what its decoding reads."""
    known = _RANKS.get(output.decode)
    if output.decode in _FLAT and version.manifest.task == _TAGGING:
        known = (3,)
    if info.shape is None or known is None:  # not told; read by a plug-in
        return
    key = f"outputs.{info.name}"
    if len(info.shape) not in known:
        ranks = " or ".join(str(rank) for rank in known)
        raise ModelError(f"{key}: '{output.decode}' needs {ranks} dimensions, the tensor is {info}")
    if output.decode == "embedding" and output.pooling is None and len(info.shape) == 3:  # noqa: PLR2004
        raise ModelError(f"{key}: {info} is one vector a token: add pooling: mean or cls")
    if output.decode == "embedding" and output.pooling in ("mean", "cls") and len(info.shape) == 2:  # noqa: PLR2004
        raise ModelError(f"{key}: {info} is one vector a text already: write pooling: none")
    if info.dtype in _WHOLE and output.scale is None and output.decode not in _WHOLE_DECODES:
        raise ModelError(f"{key}: {info} holds quantised values: add scale (and zero_point)")
    if output.decode == "score":
        check_side(info, 1, (1,), f"{key}: 'score' is one number a record")
    _check_labels(version, output, info)
    check_boxes(version, output, info)


def _check_labels(version: Version, output: Output, info: TensorInfo) -> None:
    labels = len(version.manifest.id2label)
    shape = info.shape or ()
    if not labels:
        return
    if output.decode in _FLAT and len(shape) == 2:  # noqa: PLR2004
        many = f"id2label has {labels} label(s)"
        if shape[1] == labels + 1 and not output.background:
            raise ModelError(
                f"{many}, but the tensor is {info}; if its index 0 is a background that id2label "
                "leaves out, add background: true"
            )
        right = (labels, labels + 1) if output.background else (labels,)
        check_side(info, 1, right, many)
