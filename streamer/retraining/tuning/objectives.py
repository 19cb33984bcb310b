"""How wrong a network's answers are, by the form of the task."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from streamer.models import Version
from streamer.models.manifest import Manifest, TextInput
from streamer.retraining.truth import Form
from streamer.retraining.tuning.batches import Batch
from streamer.retraining.tuning.networks import Network

Objective = Callable[[Network, Batch], Any]
"""Gives a batch's mean loss."""
_SHARPNESS = 20.0
_TINY = 1e-9


def objective_for(
    version: Version, form: Form, weights: Any, pairs: Literal["cosine", "contrastive"]
) -> Objective:
    """Choose what is minimised.

    Args:
        version: what is learnt on.
        form: of the answers.
        weights: of the classes, where they do not count alike; else None.
        pairs: with an embedder: that cosines be the scores, or that they have their order.
    """
    outputs = {n: o for n, o in version.manifest.outputs.items() if o.decode != "ignore"}
    if form == "boxes":
        return _of_boxes
    [(name, output)] = outputs.items()
    if form == "score" and output.decode == "embedding":
        pooled = _pooling(version.manifest, name, output.pooling)
        return _cosine(pooled) if pairs == "cosine" else _contrastive(pooled)
    return {
        "label": _of_label(name, weights),
        "labels": _of_labels(name),
        "entities": _of_tokens(name, weights),
        "score": _of_score(name, version.manifest.postprocess.function_to_apply == "sigmoid"),
    }[form]


def _of_label(name: str, weights: Any) -> Objective:
    def loss(network: Network, batch: Batch) -> Any:
        from torch.nn.functional import cross_entropy

        [feeds], right = batch
        return cross_entropy(network(feeds)[name].float(), right, weight=weights)

    return loss


def _of_labels(name: str) -> Objective:
    def loss(network: Network, batch: Batch) -> Any:
        from torch.nn.functional import binary_cross_entropy_with_logits

        [feeds], right = batch
        return binary_cross_entropy_with_logits(network(feeds)[name].float(), right)

    return loss


def _of_tokens(name: str, weights: Any) -> Objective:
    def loss(network: Network, batch: Batch) -> Any:
        from torch.nn.functional import cross_entropy

        [feeds], right = batch
        logits = network(feeds)[name].float()[:, : right.shape[1]]
        return cross_entropy(logits.flatten(0, 1), right.flatten(), weight=weights)

    return loss


def _of_score(name: str, sigmoid: bool) -> Objective:  # noqa: FBT001 - the manifest's setting
    def loss(network: Network, batch: Batch) -> Any:
        [feeds], right = batch
        values = network(feeds)[name].float().flatten()
        return ((values.sigmoid() if sigmoid else values) - right).square().mean()

    return loss


def _cosine(pooled: Callable[[Network, Mapping[str, Any]], Any]) -> Objective:
    """Draw the cosines of pairs to their scores (N. Reimers, I. Gurevych 2019, Sentence-BERT)."""

    def loss(network: Network, batch: Batch) -> Any:
        from torch.nn.functional import cosine_similarity

        (first, second), right = batch
        found = cosine_similarity(pooled(network, first), pooled(network, second))
        return (found - right).square().mean()

    return loss


def _contrastive(pooled: Callable[[Network, Mapping[str, Any]], Any]) -> Objective:
    """Draw pairs of higher scores above those of lower ones (J. Su 2022, CoSENT)."""

    def loss(network: Network, batch: Batch) -> Any:
        import torch
        from torch.nn.functional import cosine_similarity

        (first, second), right = batch
        found = cosine_similarity(pooled(network, first), pooled(network, second)) * _SHARPNESS
        above = right[:, None] < right[None, :]
        apart = (found[:, None] - found[None, :])[above]
        return torch.cat([apart.new_zeros(1), apart]).logsumexp(0)

    return loss


def _pooling(manifest: Manifest, name: str, pooling: str | None) -> Callable[..., Any]:
    mask_name = next(
        (
            tensor
            for given in manifest.inputs.values()
            if isinstance(given, TextInput)
            for tensor, takes in given.tensors.items()
            if takes == "mask"
        ),
        None,
    )

    def pooled(network: Network, feeds: Mapping[str, Any]) -> Any:
        states = network(feeds)[name].float()
        if states.ndim == 2:  # noqa: PLR2004 - pooled within the network
            return states
        if pooling == "cls":
            return states[:, 0]
        if mask_name is None:
            return states.mean(1)
        there = feeds[mask_name][..., None].to(states.dtype)
        return (states * there).sum(1) / there.sum(1).clamp(min=_TINY)

    return pooled


def _of_boxes(network: Network, batch: Batch) -> Any:
    [feeds], right = batch
    [images] = [feeds[tensor.name] for tensor in network.graph.inputs[:1]]
    if network.own:
        from streamer.retraining.tuning.targets import cells, loss

        detector = network.module.detector
        grid = cells(images.shape[2], images.shape[3], detector.strides).to(images.device)
        return loss(detector(images).float(), right, grid)
    import torch

    height, width = images.shape[2:]
    sides = torch.tensor([width, height, width, height], device=images.device)
    labels = []
    for one in right:
        corners = one[:, :4] / sides
        centres = (corners[:, :2] + corners[:, 2:]) / 2
        boxes = torch.cat([centres, corners[:, 2:] - corners[:, :2]], 1)
        labels.append({"class_labels": one[:, 4].long(), "boxes": boxes})
    return network.module(**feeds, labels=labels).loss
