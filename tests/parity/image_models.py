"""Tiny models of pictures, made from configurations, with the processors that belong to them."""

from typing import Any

import numpy as np
import torch
import transformers as tf
from parity.image_configs import CLASSIFIERS, DETECTORS, FOUR, LABELS, VIT

_HEADS = ("classifier", "head", "distillation_classifier", "cls_classifier")
_QUERIES = ("query_position_embeddings", "detection_tokens", "query_embed", "query_refpoint")
_WORDS: dict[str, Any] = {"num_labels": len(LABELS), "id2label": dict(enumerate(LABELS))}


def classifier(name: str) -> tuple[Any, Any]:
    """Make a classifier and its processor, weights by a fixed seed."""
    kind, settings, processor, rules = CLASSIFIERS[name]
    if name in {"SigLIP", "CLIP"}:
        config = _two_towers(kind)
    else:
        config = getattr(tf, kind)(**settings, **_WORDS)
    if name in {"DeiT", "LeViT"}:  # there are several classes for the task
        config.architectures = [f"{kind.removesuffix('Config')}ForImageClassification"]
    torch.manual_seed(0)
    model = tf.AutoModelForImageClassification.from_config(config).eval()
    return model, getattr(tf, processor)(**rules)


def _two_towers(kind: str) -> Any:
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 30,
    }
    vision = {key: value for key, value in VIT.items() if key != "initializer_range"}
    return getattr(tf, kind)(text_config=text, vision_config=vision, **_WORDS)


def detector(name: str) -> tuple[Any, Any]:
    """Make a detector and its processor, weights by a fixed seed."""
    kind, settings, processor, rules = DETECTORS[name]
    settings = dict(settings)
    torch.manual_seed(0)
    if name.startswith(("RT", "D-F")):
        backbone = tf.RTDetrResNetConfig(
            **FOUR,
            embedding_size=16,
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )
        settings["backbone_config"] = backbone
    elif name != "YOLOS":
        levels = ["stage3", "stage4"] if name.startswith("Deform") else ["stage4"]
        settings["backbone_config"] = tf.ResNetConfig(
            **FOUR, embedding_size=16, layer_type="basic", out_features=levels
        )
        settings |= {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    config = getattr(tf, kind)(**settings, **_WORDS)
    model = tf.AutoModelForObjectDetection.from_config(config).eval()
    return model, getattr(tf, processor)(**rules)


def settled(model: Any, pixels: "list[torch.Tensor]") -> None:
    """Give batch norms the statistics of real pictures: without them tiny nets see nothing."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in pixels if norms else ():
            model(batch)
    for norm in norms:
        norm.eval()


def sharpened(model: Any, pixels: "torch.Tensor") -> None:
    """Rescale the head until answers differ clearly.

    The logits' mean over the pictures is taken off and the rest enlarged, until the best two
    scores of each picture are 0.05 apart and three labels win.
    """
    heads = [getattr(model, name) for name in _HEADS if hasattr(model, name)]
    linears = [
        layer for head in heads for layer in head.modules() if isinstance(layer, torch.nn.Linear)
    ] or [layer for head in heads for layer in head.modules() if isinstance(layer, torch.nn.Conv2d)]
    linears = [layer for layer in linears if layer.weight.shape[0] == len(LABELS)]
    assert linears, "the head has no linear layer"
    with torch.no_grad():
        for layer in linears:
            layer.weight.normal_(0, 1, generator=torch.Generator().manual_seed(1))
            layer.bias.zero_()
        mean = model(pixels).logits.mean(dim=0)
        for layer in linears:
            layer.bias -= mean
        for _ in range(40):
            scores = model(pixels).logits.softmax(dim=1).numpy()
            best = np.sort(scores, axis=1)
            if (best[:, -1] - best[:, -2]).min() > 0.05 and len(set(scores.argmax(1))) >= 3:
                return
            for layer in linears:
                layer.weight *= 1.25
                layer.bias *= 1.25
    raise AssertionError(f"answers do not differ: {scores}")


def sharpened_detector(model: Any, inputs: "list[torch.Tensor]") -> None:
    """Rescale queries, class heads and box heads until there are clear and distinct answers."""
    layers = _last_layers(model)
    scores = [layer for layer in layers if layer.weight.shape[0] in {len(LABELS), len(LABELS) + 1}]
    boxes = [layer for layer in layers if layer.weight.shape[0] == 4]
    assert scores
    assert boxes
    no_object = any(layer.weight.shape[0] == len(LABELS) + 1 for layer in scores)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if any(part in name for part in _QUERIES):
                weights.normal_(0, 2, generator=torch.Generator().manual_seed(7))
        for seed, layer in enumerate([*scores, *boxes]):
            layer.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
            layer.bias.zero_()
        for layer in boxes:
            layer.bias[2:] = -1.0 if no_object else 0.5
        for _ in range(3):
            logits = torch.cat([model(given).logits.flatten(0, 1) for given in inputs])
            spread = logits.std(dim=0).mean()
            for layer in scores:
                layer.bias -= logits.mean(dim=0)[: len(layer.bias)]
                layer.weight *= 3 / spread
                layer.bias *= 3 / spread
        if not no_object:
            logits = torch.cat([model(given).logits.flatten() for given in inputs])
            for layer in scores:
                layer.bias -= logits.quantile(0.88)


def _last_layers(model: Any) -> list[Any]:
    """Give the last linear layers of everything that is named for classes or boxes."""
    found = {}  # by weights: several layers may share theirs
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and any(
            part in name for part in ("class_embed", "class_labels", "bbox", "score_head")
        ):
            found[id(module.weight)] = module
    return list(found.values())
