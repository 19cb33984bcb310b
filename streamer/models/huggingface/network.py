"""Inputs and outputs of a network whose weights are safetensors: by convention, not by its file.

The classes of transformers name their arguments and results alike.
"""

from typing import Any

from streamer.models.graph import Graph, Tensor
from streamer.tasks import WRITING

_PICTURES = (
    "image-classification",
    "object-detection",
    "image-feature-extraction",
    "image-to-text",
)
_WITHOUT_MASK = ("fnet",)
_WITH_TYPES = ("xlnet",)
# Their pictures keep their shape and are padded: a mask tells the network where they end.
_MASKED = ("detr", "conditional_detr", "dab-detr", "deformable_detr", "table-transformer")
_VECTORS = ("sentence-similarity", "feature-extraction", "image-feature-extraction")


def network(config: dict[str, Any], task: str) -> Graph:
    """Describe the class that transformers loads for a task.

    Args:
        config: the folder's `config.json`.
        task: what it is used for.
    """
    return Graph(_inputs(config, task), _outputs(config, task), {}, (), ())


def _inputs(config: dict[str, Any], task: str) -> tuple[Tensor, ...]:
    if task in _PICTURES:
        channels = config.get("num_channels") or 3
        pixels = Tensor("pixel_values", "float32", (None, channels, None, None))
        if config.get("model_type") in _MASKED:
            return pixels, Tensor("pixel_mask", "int64", (None, None, None))
        return (pixels,)
    kind = config.get("model_type")
    names = ["input_ids"] if kind in _WITHOUT_MASK else ["input_ids", "attention_mask"]
    # one type is none: RoBERTa and its kin have the table, but no use for it
    if (config.get("type_vocab_size") or 0) > 1 or kind in _WITH_TYPES:
        names.append("token_type_ids")
    return tuple(Tensor(name, "int64", (None, None)) for name in names)


def _outputs(config: dict[str, Any], task: str) -> tuple[Tensor, ...]:
    labels = len(config.get("id2label") or ()) or None
    if task in WRITING:
        return (Tensor("sequences", "int64", (None, None)),)
    if task in _VECTORS and not _scores(config):
        return (Tensor("last_hidden_state", "float32", (None, None, config.get("hidden_size"))),)
    if task == "object-detection":
        more = None if labels is None else labels + 1
        return (
            Tensor("logits", "float32", (None, None, more)),
            Tensor("pred_boxes", "float32", (None, None, 4)),
        )
    if task == "token-classification":
        return (Tensor("logits", "float32", (None, None, labels)),)
    return (Tensor("logits", "float32", (None, labels)),)


def _scores(config: dict[str, Any]) -> bool:
    """Whether the network gives scores: a cross-encoder, which embeds nothing."""
    return any("Classification" in str(name) for name in config.get("architectures") or ())
