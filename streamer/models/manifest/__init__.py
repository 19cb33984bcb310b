"""`model.yaml`: what a model version is, what it is fed with and what comes out.

Keys are those of Hugging Face's `config.json` and `preprocessor_config.json` where these have one.
"""

from streamer.models.manifest.inputs import (
    ConstantInput,
    CropSize,
    Dtype,
    ImageInput,
    Input,
    Positive,
    Resample,
    Size,
    TextInput,
)
from streamer.models.manifest.outputs import Nms, Output, Postprocess
from streamer.models.manifest.version import BatchLimits, Lineage, Manifest

__all__ = [
    "BatchLimits",
    "ConstantInput",
    "CropSize",
    "Dtype",
    "ImageInput",
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
