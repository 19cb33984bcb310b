"""Configurations of tiny models of pictures, and the processors that belong to them."""

from typing import Any

LABELS = ("stop", "yield", "limit", "parking", "crossing", "works")
SIDE = 64
VIT = {
    "image_size": SIDE,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
FOUR = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 24, 32, 40]}
_EDGE = {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}}
_BOTH = {"size": {"height": SIDE, "width": SIDE}}

CLASSIFIERS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "ViT": ("ViTConfig", VIT, "ViTImageProcessor", _BOTH),
    "DeiT": (
        "DeiTConfig",
        VIT,
        "DeiTImageProcessor",
        {"size": {"height": 72, "width": 72}, "crop_size": {"height": SIDE, "width": SIDE}},
    ),
    "BEiT": ("BeitConfig", VIT, "BeitImageProcessor", _BOTH),
    "Data2VecVision": ("Data2VecVisionConfig", VIT, "BeitImageProcessor", _BOTH),
    "ViT-MSN": ("ViTMSNConfig", VIT, "ViTImageProcessor", _BOTH),
    "DINOv2": ("Dinov2Config", {**VIT, "mlp_ratio": 2}, "BitImageProcessor", _EDGE),
    "DINOv2 with registers": (
        "Dinov2WithRegistersConfig",
        {**VIT, "mlp_ratio": 2, "num_register_tokens": 2},
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
        {**FOUR, "initializer_range": 0.2, "layer_scale_init_value": 1.0},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "ConvNeXT V2": (
        "ConvNextV2Config",
        {**FOUR, "initializer_range": 0.2},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 384}},
    ),
    "ResNet": (
        "ResNetConfig",
        {**FOUR, "embedding_size": 16, "layer_type": "basic"},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "RegNet": (
        "RegNetConfig",
        {**FOUR, "embedding_size": 16, "groups_width": 8},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
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
        {**FOUR, "initializer_range": 0.2, "layer_scale_init_value": 1.0},
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
        {**VIT, "image_size": [96, 128], "patch_size": 16, "num_detection_tokens": 12},
        "YolosImageProcessor",
        _SHORTEST,
    ),
    "RT-DETR": ("RTDetrConfig", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
    "RT-DETR V2": ("RTDetrV2Config", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
    "D-FINE": ("DFineConfig", {**_TWO_STAGES}, "RTDetrImageProcessor", _BOTH),
}
