"""Tiny models of pictures, made from configurations, with the processors that belong to them."""

from typing import Any

import numpy as np
import torch
import transformers as tf

LABELS = ("stop", "yield", "limit", "parking", "crossing", "works")
SIDE = 64
_HEADS = ("classifier", "head", "distillation_classifier", "cls_classifier")
_QUERIES = ("query_position_embeddings", "detection_tokens", "query_embed", "query_refpoint")
_WORDS: dict[str, Any] = {"num_labels": len(LABELS), "id2label": dict(enumerate(LABELS))}
_VIT = {
    "image_size": SIDE,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
_FOUR = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 24, 32, 40]}
_EDGE = {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}}
_BOTH = {"size": {"height": SIDE, "width": SIDE}}

CLASSIFIERS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "ViT": ("ViTConfig", _VIT, "ViTImageProcessor", _BOTH),
    "DeiT": (
        "DeiTConfig",
        _VIT,
        "DeiTImageProcessor",
        {"size": {"height": 72, "width": 72}, "crop_size": {"height": SIDE, "width": SIDE}},
    ),
    "BEiT": ("BeitConfig", _VIT, "BeitImageProcessor", _BOTH),
    "Data2VecVision": ("Data2VecVisionConfig", _VIT, "BeitImageProcessor", _BOTH),
    "ViT-MSN": ("ViTMSNConfig", _VIT, "ViTImageProcessor", _BOTH),
    "DINOv2": ("Dinov2Config", {**_VIT, "mlp_ratio": 2}, "BitImageProcessor", _EDGE),
    "DINOv2 with registers": (
        "Dinov2WithRegistersConfig",
        {**_VIT, "mlp_ratio": 2, "num_register_tokens": 2},
        "BitImageProcessor",
        _EDGE,
    ),
    "Hiera": (
        "HieraConfig",
        {
            "image_size": [SIDE, SIDE],
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "query_stride": [2, 2],
            "num_query_pool": 1,
            "masked_unit_size": [8, 8],
            "masked_unit_attention": [True, False],
            "initializer_range": 0.2,
        },
        "BitImageProcessor",
        _EDGE,
    ),
    "Swin": (
        "SwinConfig",
        {
            "image_size": SIDE,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
            "initializer_range": 0.2,
        },
        "ViTImageProcessor",
        _BOTH,
    ),
    "Swin V2": (
        "Swinv2Config",
        {
            "image_size": SIDE,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
            "initializer_range": 0.2,
        },
        "ViTImageProcessor",
        _BOTH,
    ),
    "FocalNet": (
        "FocalNetConfig",
        {
            "image_size": SIDE,
            "patch_size": 4,
            "embed_dim": 16,
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "initializer_range": 0.2,
        },
        "BitImageProcessor",
        _EDGE,
    ),
    "ConvNeXT": (
        "ConvNextConfig",
        {**_FOUR, "initializer_range": 0.2, "layer_scale_init_value": 1.0},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "ConvNeXT V2": (
        "ConvNextV2Config",
        {**_FOUR, "initializer_range": 0.2},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 384}},
    ),
    "ResNet": (
        "ResNetConfig",
        {**_FOUR, "embedding_size": 16, "layer_type": "basic"},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "BiT": (
        "BitConfig",
        {**_FOUR, "embedding_size": 16, "num_groups": 4},
        "BitImageProcessor",
        _EDGE,
    ),
    "RegNet": (
        "RegNetConfig",
        {**_FOUR, "embedding_size": 16, "groups_width": 8},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "MobileNet V1": (
        "MobileNetV1Config",
        {
            "image_size": SIDE,
            "depth_multiplier": 0.25,
            "min_depth": 8,
            "initializer_range": 0.3,
            "layer_norm_eps": 1e-5,
        },
        "MobileNetV1ImageProcessor",
        _EDGE,
    ),
    "MobileNet V2": (
        "MobileNetV2Config",
        {"image_size": SIDE, "depth_multiplier": 0.25, "min_depth": 8},
        "MobileNetV2ImageProcessor",
        _EDGE,
    ),
    "EfficientNet": (
        "EfficientNetConfig",
        {
            "image_size": SIDE,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.3,
            "hidden_dim": 320,
            "in_channels": [32, 16, 24],
            "out_channels": [16, 24, 40],
            "kernel_sizes": [3, 3, 5],
            "strides": [1, 2, 2],
            "num_block_repeats": [1, 1, 1],
            "expand_ratios": [1, 6, 6],
            "depthwise_padding": [],
            "initializer_range": 0.5,
            "batch_norm_eps": 1e-5,
        },
        "EfficientNetImageProcessor",
        {**_BOTH, "rescale_offset": True, "rescale_factor": 1 / 127.5},
    ),
    "MobileViT": (
        "MobileViTConfig",
        {
            "image_size": SIDE,
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 8, 12, 16, 20, 24, 48],
            "num_attention_heads": 2,
            "initializer_range": 0.2,
        },
        "MobileViTImageProcessor",
        _EDGE,
    ),
    "MobileViT V2": (
        "MobileViTV2Config",
        {
            "image_size": SIDE,
            "width_multiplier": 0.25,
            "n_attn_blocks": [1, 1, 1],
            "initializer_range": 0.2,
        },
        "MobileViTImageProcessor",
        _EDGE,
    ),
    "PoolFormer": (
        "PoolFormerConfig",
        {**_FOUR, "initializer_range": 0.2, "layer_scale_init_value": 1.0},
        "PoolFormerImageProcessor",
        {
            "size": {"shortest_edge": SIDE},
            "crop_size": {"height": SIDE, "width": SIDE},
            "crop_pct": 0.9,
        },
    ),
    "SwiftFormer": (
        "SwiftFormerConfig",
        {
            "image_size": SIDE,
            "depths": [1, 1, 1, 1],
            "embed_dims": [16, 24, 32, 40],
            "layer_scale_init_value": 1.0,
        },
        "ViTImageProcessor",
        _BOTH,
    ),
    "SegFormer": (
        "SegformerConfig",
        {
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [8, 16, 24, 32],
            "num_attention_heads": [1, 1, 2, 2],
            "sr_ratios": [4, 2, 1, 1],
            "initializer_range": 0.2,
        },
        "SegformerImageProcessor",
        _BOTH,
    ),
    "PVT": (
        "PvtConfig",
        {
            "image_size": SIDE,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [8, 16, 24, 32],
            "num_attention_heads": [1, 1, 2, 2],
            "sequence_reduction_ratios": [4, 2, 1, 1],
            "initializer_range": 0.2,
        },
        "PvtImageProcessor",
        _BOTH,
    ),
    "PVT V2": (
        "PvtV2Config",
        {
            "image_size": SIDE,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [8, 16, 24, 32],
            "num_attention_heads": [1, 1, 2, 2],
            "sr_ratios": [4, 2, 1, 1],
            "mlp_ratios": [2, 2, 2, 2],
            "initializer_range": 0.2,
        },
        "PvtImageProcessor",
        _BOTH,
    ),
    "CvT": (
        "CvtConfig",
        {
            "embed_dim": [8, 16, 24],
            "num_heads": [1, 2, 2],
            "depth": [1, 2, 3],
            "initializer_range": 0.2,
        },
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "LeViT": (
        "LevitConfig",
        {
            "image_size": SIDE,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": [1, 2, 2],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        "LevitImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}},
    ),
    "SigLIP": ("SiglipConfig", {}, "SiglipImageProcessor", _BOTH),
    "CLIP": ("CLIPConfig", {}, "CLIPImageProcessor", _EDGE),
}

_SHORTEST = {"size": {"shortest_edge": 96, "longest_edge": 128}}
_DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_queries": 12,
    "init_std": 0.2,
}
_TWO_STAGES = {
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [24, 32, 40],
    "decoder_in_channels": [32, 32, 32],
    "decoder_layers": 2,
    "decoder_ffn_dim": 48,
    "encoder_ffn_dim": 48,
    "decoder_attention_heads": 2,
    "encoder_attention_heads": 2,
    # as many as there are places: which of them are taken would be decided by a hair
    "num_queries": 84,
}
DETECTORS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "DETR": ("DetrConfig", _DETR, "DetrImageProcessor", _SHORTEST),
    "Table Transformer": ("TableTransformerConfig", _DETR, "DetrImageProcessor", _SHORTEST),
    "Conditional DETR": (
        "ConditionalDetrConfig",
        _DETR,
        "ConditionalDetrImageProcessor",
        _SHORTEST,
    ),
    "DAB-DETR": (
        "DabDetrConfig",
        {key: value for key, value in _DETR.items() if key not in {"d_model", "init_std"}}
        | {"hidden_size": 32},
        "ConditionalDetrImageProcessor",
        _SHORTEST,
    ),
    "Deformable DETR": (
        "DeformableDetrConfig",
        {**_DETR, "num_feature_levels": 2},
        "DeformableDetrImageProcessor",
        _SHORTEST,
    ),
    "YOLOS": (
        "YolosConfig",
        {**_VIT, "image_size": [96, 128], "patch_size": 16, "num_detection_tokens": 12},
        "YolosImageProcessor",
        _SHORTEST,
    ),
    "RT-DETR": ("RTDetrConfig", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
    "RT-DETR V2": ("RTDetrV2Config", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
    "D-FINE": ("DFineConfig", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
}


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
    vision = {key: value for key, value in _VIT.items() if key != "initializer_range"}
    return getattr(tf, kind)(text_config=text, vision_config=vision, **_WORDS)


def detector(name: str) -> tuple[Any, Any]:
    """Make a detector and its processor, weights by a fixed seed."""
    kind, settings, processor, rules = DETECTORS[name]
    settings = dict(settings)
    torch.manual_seed(0)
    if name.startswith(("RT", "D-F")):
        backbone = tf.RTDetrResNetConfig(
            **_FOUR,
            embedding_size=16,
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )
        settings["backbone_config"] = backbone
    elif name != "YOLOS":
        levels = ["stage3", "stage4"] if name.startswith("Deform") else ["stage4"]
        settings["backbone_config"] = tf.ResNetConfig(
            **_FOUR, embedding_size=16, layer_type="basic", out_features=levels
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
