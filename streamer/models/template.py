"""The `model.yaml` that a model without one needs, as far as its file tells it."""

import hashlib
import json
from pathlib import Path

from streamer.models.graph import Graph, Tensor, shape_text
from streamer.models.labels import labels_beside, read_labels

_PICTURE_RANK = 4
_SEQUENCE = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}


def template(file: Path, graph: Graph, task: str | None) -> str:
    """Write the manifest to complete; what is unknown stands in <>."""
    likely = task or _likely_task(graph)
    folder = file.absolute().parent
    below = file.name
    if folder.name == "onnx":  # of a Hugging Face folder, where model.yaml is to stand
        folder, below = folder.parent, f"onnx/{file.name}"
    lines = [
        f"  name: {folder.name if file.stem in ('model', 'saved_model') else file.stem}",
        '  version: "1"',
        f"  task: {likely}",
        f"  files: {{{below}: {_sum(file)}}}",
    ]
    if likely != "sentence-similarity":
        lines.append(_labels(file, graph, likely))
    lines.append("  inputs:")
    if _is_text(graph):
        lines += _text_lines(graph, likely)
    else:
        inputs = graph.inputs or (Tensor("<name of the input>", "float32", None),)
        lines += [line for tensor in inputs for line in _image_lines(tensor, likely)]
    lines.append("  outputs:")
    lines += [_output_line(tensor, likely) for tensor in graph.outputs]
    return "\n".join(lines)


def _sum(file: Path) -> str:
    if not file.is_file():
        return "<sha256:… of the file>"
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _likely_task(graph: Graph) -> str:
    if _is_text(graph):
        longest = max(graph.outputs, key=lambda tensor: len(tensor.shape or ()))
        if len(longest.shape or ()) <= 2:  # noqa: PLR2004
            return "text-classification"
        return "token-classification" if longest.name == "logits" else "sentence-similarity"
    inputs = {tensor.dtype for tensor in graph.inputs}
    if inputs and inputs <= {"int32", "int64"}:
        return "text-classification"
    several = len(graph.outputs) > 1 or len(graph.outputs[0].shape or ()) > 2  # noqa: PLR2004
    return "object-detection" if several else "image-classification"


def _is_text(graph: Graph) -> bool:
    return any(
        tensor.name.split(":")[0] in _SEQUENCE or tensor.dtype in ("string", "int32", "int64")
        for tensor in graph.inputs
    )


def _labels(file: Path, graph: Graph, task: str) -> str:
    """Write the labels that are known, name the file beside the model that has them, or ask."""
    if graph.class_labels:
        return f"  id2label: {json.dumps(list(graph.class_labels), ensure_ascii=False)}"
    shape = graph.outputs[0].shape
    many = shape[-1] if task.endswith("classification") and shape else None
    beside = labels_beside(file)
    if beside is not None:
        count = len(read_labels(beside)[0])
        more = f", the output has {many}" if many not in (None, count) else ""
        return f"  labels: {beside.name}   # {count} labels{more}"
    return "  id2label: {0: <label>, 1: <label>, …}" + (f"   # {many} labels" if many else "")


def _image_lines(tensor: Tensor, task: str) -> list[str]:
    shape = tensor.shape if tensor.shape and len(tensor.shape) == _PICTURE_RANK else (None,) * 4
    last = shape[3] in (1, 3)
    height, width = (shape[1], shape[2]) if last else (shape[2], shape[3])
    channels = "GRAY" if (shape[3] if last else shape[1]) == 1 else "<RGB or BGR>"
    resize = "resize: <letterbox or stretch>, " if task == "object-detection" else ""
    layout = "NHWC" if last else "NCHW"
    size = f"{{height: {height or '<pixels>'}, width: {width or '<pixels>'}}}"
    dtype = "float32" if tensor.dtype == "unknown" else tensor.dtype
    kind = f"kind: image, layout: {layout}, channels: {channels}, dtype: {dtype}"
    lines = [
        f"    {_key(tensor.name)}: {{{kind},",
        f"      size: {size}, {resize}resample: <pillow-bilinear, opencv-linear, …>,",
    ]
    if tensor.dtype == "uint8":
        lines[-1] = lines[-1].rstrip(",") + "}"
        return lines
    lines.append(
        "      rescale_factor: <1.0 or 0.00392156862745098>, "
        "image_mean: <[0.485, 0.456, 0.406] or [0, 0, 0]>, "
        "image_std: <[0.229, 0.224, 0.225] or [1, 1, 1]>}"
    )
    return lines


def _text_lines(graph: Graph, task: str) -> list[str]:
    tensors = ", ".join(
        f"{_key(tensor.name)}: "
        + ("string" if tensor.dtype == "string" else _SEQUENCE.get(tensor.name, "<ids or mask>"))
        for tensor in graph.inputs
    )
    if any(tensor.dtype == "string" for tensor in graph.inputs):
        return [f"    text: {{kind: text, tensors: {{{tensors}}}}}"]
    pair = "<whether both sentences go in together>" if task == "sentence-similarity" else "false"
    cut = "tokenizer: tokenizer.json, max_length: <tokens>"
    return [f"    text: {{kind: text, {cut}, pair: {pair}, tensors: {{{tensors}}}}}"]


def _output_line(tensor: Tensor, task: str) -> str:
    choices = {
        "object-detection": "<yolox, yolov8, detections, boxes, scores, detr, …>",
        "sentence-similarity": "<embedding, pooling: mean, cls or none; or score>",
    }.get(task, "<logits or probabilities>")
    seen = f"{tensor.dtype} {shape_text(tensor.shape)}"
    stored = (
        f", scale: {tensor.scale!r}, zero_point: {tensor.zero_point}"
        if tensor.scale is not None
        else ""
    )
    return f"    {_key(tensor.name)}: {{decode: {choices}{stored}}}   # {seen}"


def _key(name: str) -> str:
    """Write a tensor's name as a key: in quotes where YAML would read more into it."""
    return json.dumps(name) if ":" in name or not name else name
