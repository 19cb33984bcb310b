"""Image architectures that are compared with transformers, by task."""

_CLASSIFIERS = (
    "ViT",
    "DeiT",
    "BEiT",
    "Data2VecVision",
    "ViT-MSN",
    "DINOv2",
    "DINOv2 with registers",
    "Hiera",
    "Swin",
    "Swin V2",
    "FocalNet",
    "ConvNeXT",
    "ConvNeXT V2",
    "ResNet",
    "RegNet",
    "MobileNet V2",
    "EfficientNet",
    "MobileViT",
    "MobileViT V2",
    "PoolFormer",
    "SwiftFormer",
    "SegFormer",
    "PVT",
    "PVT V2",
    "CvT",
    "LeViT",
    "SigLIP",
    "CLIP",
)
OF_TIMM = {
    "ResNet of timm": "test_resnet.r160_in1k",
    "ViT of timm": "test_vit.r160_in1k",
    "EfficientNet of timm": "test_efficientnet.r160_in1k",
    "ConvNeXT of timm": "test_convnext.r160_in1k",
}
"""By the name of a case, the architecture as timm names it."""
_DETECTORS = (
    "DETR",
    "Table Transformer",
    "Conditional DETR",
    "DAB-DETR",
    "Deformable DETR",
    "YOLOS",
    "RT-DETR",
    "RT-DETR V2",
    "D-FINE",
)
_FEATURES = ("ViT", "DINOv2", "ConvNeXT")
CASES: tuple[tuple[str, str], ...] = (
    *(("image-classification", name) for name in _CLASSIFIERS),
    *(("image-classification", name) for name in OF_TIMM),
    *(("object-detection", name) for name in _DETECTORS),
    *(("image-feature-extraction", name) for name in _FEATURES),
)
