"""Versions that carry `trainable/`: tiny networks of transformers, and the project's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from streamer.graphs import export
from streamer.graphs.samples import shapes_of
from streamer.models import Manifest, Version
from streamer.models.graph import Graph, Tensor
from streamer.models.version import load_version
from streamer.retraining.tuning.nets import built
from streamer.retraining.tuning.networks import Network
from support import heads

TOKENS = {"input_ids": "ids", "attention_mask": "mask"}


def pictures(folder: Path, labels: Sequence[str]) -> Version:
    """The project's classifier of small pictures, untrained."""
    torch.manual_seed(0)
    config = {"model_type": "streamer", "network": "pictures"}
    image = {
        "kind": "image",
        "size": {"height": heads.SIDE, "width": heads.SIDE},
        "rescale_factor": 1 / 255,
    }
    told = {"task": "image-classification", "inputs": {"pixels": image}}
    graph = _graph({"pixels": (None, 3, heads.SIDE, heads.SIDE)}, {"logits": (None, None)})
    return _written(folder, _own(config, labels, graph), labels, told)


def detector(folder: Path, labels: Sequence[str], side: int = 64) -> Version:
    """The project's detector, untrained."""
    torch.manual_seed(0)
    config = {"model_type": "streamer", "network": "boxes"}
    image = {
        "kind": "image",
        "channels": "BGR",
        "size": {"height": side, "width": side},
        "resize": "letterbox",
    }
    told = {
        "task": "object-detection",
        "inputs": {"images": image},
        "outputs": {"output": {"decode": "yolox", "strides": [8, 16, 32]}},
    }
    graph = _graph({"images": (None, 3, side, side)}, {"output": (None, None, None)})
    return _written(folder, _own(config, labels, graph), labels, told)


def texts(folder: Path, labels: Sequence[str], words: Sequence[str]) -> Version:
    """The project's classifier of texts, untrained."""
    torch.manual_seed(0)
    config = {"model_type": "streamer", "network": "texts", "vocab_size": len(words) + 1}
    heads._tokenizer(folder, words)
    graph = _graph(dict.fromkeys(TOKENS, (None, None)), {"logits": (None, None)}, "int64")
    told = {"task": "text-classification", "inputs": {"text": _text()}}
    return _written(folder, _own(config, labels, graph), labels, told)


def bert(
    folder: Path, task: str, labels: Sequence[str], words: Sequence[str], **more: Any
) -> Version:
    """A BERT of two tiny layers, untrained."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words) + 1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=max(len(labels), 1),
    )
    made = {
        "text-classification": transformers.BertForSequenceClassification,
        "token-classification": transformers.BertForTokenClassification,
        "sentence-similarity": transformers.BertModel,
    }[task](config)
    output = "last_hidden_state" if task == "sentence-similarity" else "logits"
    ranks = (None, None) if task == "text-classification" else (None, None, None)
    graph = _graph(dict.fromkeys(TOKENS, (None, None)), {output: ranks}, "int64")
    heads._tokenizer(folder, words)
    network = Network(made.eval(), config.to_dict(), graph, False, "transformers")  # noqa: FBT003
    told = {"task": task, "inputs": {"text": _text()}, **more}
    return _written(folder, network, labels, told)


def yolos(folder: Path, labels: Sequence[str], side: int = 64) -> Version:
    """A YOLOS of two tiny layers, untrained."""
    import transformers

    torch.manual_seed(0)
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[side, side],
        patch_size=16,
        num_detection_tokens=8,
        num_labels=len(labels),
    )
    network = Network(
        transformers.YolosForObjectDetection(config).eval(),
        config.to_dict(),
        _graph(
            {"pixel_values": (None, 3, side, side)},
            {"logits": (None, None, None), "pred_boxes": (None, None, 4)},
        ),
        False,  # noqa: FBT003 - not one of the project's own
        "transformers",
    )
    image = {"kind": "image", "size": {"height": side, "width": side}, "rescale_factor": 1 / 255}
    told = {
        "task": "object-detection",
        "inputs": {"pixel_values": image},
        "outputs": {"logits": {"decode": "detr"}, "pred_boxes": {"decode": "boxes"}},
    }
    return _written(folder, network, labels, told)


def _own(config: dict[str, Any], labels: Sequence[str], graph: Graph) -> Network:
    return Network(built(config, len(labels)).eval(), config, graph, True, "torch")  # noqa: FBT003


def _text() -> dict[str, Any]:
    return {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 32, "tensors": TOKENS}


def _graph(inputs: dict[str, Any], outputs: dict[str, Any], dtype: str = "float32") -> Graph:
    return Graph(
        inputs=tuple(Tensor(name, dtype, shape) for name, shape in inputs.items()),
        outputs=tuple(Tensor(name, "float32", shape) for name, shape in outputs.items()),
        metadata={},
        class_labels=(),
        external=(),
    )


def _written(
    folder: Path, network: Network, labels: Sequence[str], told: dict[str, Any]
) -> Version:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"name": folder.name, "version": "1", "outputs": {"logits": {"decode": "logits"}}}
    if labels:
        manifest["id2label"] = dict(enumerate(labels))
    manifest |= told
    shapes = shapes_of(Manifest.model_validate(manifest), network.config)
    export(network.exportable(), shapes, folder / "model.onnx")
    network.save(folder / "trainable")
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return load_version(str(folder), beside=folder, models_dir=folder)
