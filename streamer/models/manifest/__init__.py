"""`model.yaml`: what a model version is, what it is fed with and what comes out.

Keys are those of Hugging Face's `config.json` and `preprocessor_config.json` where these have one.
"""

from streamer.models.manifest.generation import Generation
from streamer.models.manifest.inputs import ConstantInput, Input, TextInput
from streamer.models.manifest.outputs import Nms, Output, Postprocess
from streamer.models.manifest.pictures import (
    CropSize,
    ImageBytesInput,
    ImageInput,
    ImageSizeInput,
    Resample,
    Size,
)
from streamer.models.manifest.values import Dtype, Positive
from streamer.models.manifest.version import BatchLimits, Lineage, Manifest

__all__ = [
    "BatchLimits",
    "ConstantInput",
    "CropSize",
    "Dtype",
    "Generation",
    "ImageBytesInput",
    "ImageInput",
    "ImageSizeInput",
    "Input",
    "Lineage",
    "Manifest",
    "Nms",
    "Output",
    "Positive",
    "Postprocess",
    "Resample",
    "Size",
    "TextInput",
]
