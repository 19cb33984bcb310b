"""A manifest for a Hugging Face folder: `config.json` and its companions, read."""

import json
from pathlib import Path
from typing import Any

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.guess import complete, layout_of, text_tensors
from streamer.models.manifest import Manifest
from streamer.models.template import template

_MAX_JSON_BYTES = 2**24
_TASKS = {
    "ForImageClassification": "image-classification",
    "ForSequenceClassification": "text-classification",
}
_RESAMPLE = {
    0: "opencv-nearest",
    1: "pillow-lanczos",
    2: "pillow-bilinear",
    3: "pillow-bicubic",
}
# Processors whose `size: 224` means the shorter side; for the others it means both.
_SHORTEST_EDGE = ("ConvNext", "CLIP", "Levit", "MobileNet", "Poolformer", "Bit", "MobileViT")
_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


def from_huggingface(folder: Path, file: Path, graph: Graph, task: str | None) -> Manifest:
    """Make the manifest of a Hugging Face folder.

    Raises:
        ModelError: something is missing in it; says what, and gives the `model.yaml` to complete.
    """
    config = _read(folder / "config.json")
    task = task or _task(config)
    if task is None:
        raise _asking("which task it is for: write 'task:' in the topology", folder, graph, None)
    common: dict[str, Any] = {"task": task}
    if config.get("problem_type"):
        common["problem_type"] = config["problem_type"]
    if task.endswith("classification"):
        common["id2label"] = _labels(config)
    if task == "image-classification":
        return complete(common | _image_classifier(folder, graph), file)
    if task in ("text-classification", "sentence-similarity"):
        return complete(common | _text_model(folder, graph, task, config), file)
    raise _asking(f"how its outputs are read for {task}", folder, graph, task)


def _asking(what: str, folder: Path, graph: Graph, task: str | None) -> ModelError:
    return ModelError(
        f"{folder}: the files there do not say {what}. Or put a model.yaml there, with the values "
        f"in <> filled in:\n{template(folder / 'model.onnx', graph, task)}"
    )


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{file}: larger than 16 MiB, which no configuration is")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected an object, found {type(content).__name__}")
    return content


def _task(config: dict[str, Any]) -> str | None:
    for architecture in config.get("architectures") or ():
        for ending, task in _TASKS.items():
            if str(architecture).endswith(ending):
                return task
    return None


def _labels(config: dict[str, Any]) -> dict[int, str]:
    labels = config.get("id2label") or {}
    pairs = enumerate(labels) if isinstance(labels, list) else labels.items()
    return {int(index): str(label) for index, label in pairs}


def _single_output(graph: Graph, *names: str) -> Tensor:
    for tensor in graph.outputs:
        if tensor.name in names:
            return tensor
    return graph.outputs[0]


def _image_classifier(folder: Path, graph: Graph) -> dict[str, Any]:
    steps = _read(folder / "preprocessor_config.json")
    task = "image-classification"
    if not steps:
        raise _asking(
            "how pictures are prepared: preprocessor_config.json is missing", folder, graph, task
        )
    tensor = graph.inputs[0]
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
                raise _asking(f"{key} (in preprocessor_config.json)", folder, graph, task)
            image[key] = steps[key]
    if steps.get("do_center_crop"):
        image |= {"do_center_crop": True, "crop_size": _square(steps.get("crop_size", 224))}
    output = _single_output(graph, "logits")
    return {"inputs": {tensor.name: image}, "outputs": {output.name: {"decode": "logits"}}}


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


def _text_model(folder: Path, graph: Graph, task: str, config: dict[str, Any]) -> dict[str, Any]:
    tensors = text_tensors(graph)
    if tensors is None:
        raise _asking("what goes into its tensors", folder, graph, task)
    if not (folder / "tokenizer.json").is_file():
        raise _asking(
            "how texts are cut into tokens: tokenizer.json is missing", folder, graph, task
        )
    output, postprocess = _text_output(folder, graph, task, config)
    text = {
        "kind": "text",
        "tokenizer": "tokenizer.json",
        "max_length": _max_length(folder, config),
        "pair": task == "sentence-similarity" and output[1]["decode"] == "score",
        "tensors": tensors,
    }
    return {
        "inputs": {"text": text},
        "outputs": {output[0]: output[1]},
        "postprocess": postprocess,
    }


def _max_length(folder: Path, config: dict[str, Any]) -> int:
    """Take the smallest of what tokenizer, sentence-transformers and network allow."""
    limits = [
        _read(folder / "tokenizer_config.json").get("model_max_length"),
        _read(folder / "sentence_bert_config.json").get("max_seq_length"),
        config.get("max_position_embeddings"),
    ]
    # transformers writes 10**30 for "no limit"
    known = [int(limit) for limit in limits if limit and 0 < limit < 10**6]
    return min(known, default=512)


def _text_output(
    folder: Path, graph: Graph, task: str, config: dict[str, Any]
) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
    if task == "text-classification":
        return (_single_output(graph, "logits").name, {"decode": "logits"}), {}
    tensor = _single_output(graph, "logits", "sentence_embedding", "last_hidden_state")
    rank = len(tensor.shape or ())
    if rank == 2 and (tensor.name == "logits" or tensor.shape == (None, 1)):  # noqa: PLR2004
        function = "none" if config.get("problem_type") == "regression" else "sigmoid"
        return (tensor.name, {"decode": "score"}), {"function_to_apply": function}
    if rank == 2:  # noqa: PLR2004
        return (tensor.name, {"decode": "embedding", "pooling": "none"}), {}
    modes = _read(folder / "1_Pooling" / "config.json")
    chosen = [pooling for key, pooling in _POOLING.items() if modes.get(key)]
    if len(chosen) != 1:
        raise _asking(
            "how token embeddings are pooled: 1_Pooling/config.json is missing", folder, graph, task
        )
    return (tensor.name, {"decode": "embedding", "pooling": chosen[0]}), {}
