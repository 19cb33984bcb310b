"""How a session is to compute: what an operator decides, apart from the device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
Provider = Literal["auto", "cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"]


@dataclass(frozen=True)
class Tuning:
    """Choices of the topology's model section; the defaults are right for most models.

    Attributes:
        provider: what ONNX Runtime computes with; `auto` goes by the device.
        precision: of the weights and of what is computed; `auto` is the file's own.
        memory_bytes: GPU memory for a session at the most; None for all there is.
        fuse: whether pictures are normalised where the model runs; `auto`: on GPUs.
        compile: whether Torch compiles the model at its first run.
        single: whether items run one by one, without a trial of more.
        allow_bin: whether `pytorch_model.bin` is loaded where there are no safetensors.
        session_options: settings of an ONNX Runtime session by their name there.
        provider_options: settings of its provider by their name there.
    """

    provider: Provider = "auto"
    precision: Precision = "auto"
    memory_bytes: int | None = None
    fuse: bool | Literal["auto"] = "auto"
    compile: bool = False
    single: bool = False
    allow_bin: bool = False
    session_options: Mapping[str, str] = field(default_factory=dict)
    provider_options: Mapping[str, str] = field(default_factory=dict)
