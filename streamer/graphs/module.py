"""Networks of transformers and timm as modules with named tensors in and out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamer.errors import ConfigError, ModelError
from streamer.graphs.timm import load_timm
from streamer.models.graph import Graph
from streamer.models.huggingface.timm import is_timm

_AUTO: Mapping[str, str] = MappingProxyType(
    {
        "image-classification": "AutoModelForImageClassification",
        "object-detection": "AutoModelForObjectDetection",
        "image-feature-extraction": "AutoModel",
        "text-classification": "AutoModelForSequenceClassification",
        "zero-shot-classification": "AutoModelForSequenceClassification",
        "token-classification": "AutoModelForTokenClassification",
        "feature-extraction": "AutoModel",
        "sentence-similarity": "AutoModel",
    }
)


@dataclass(frozen=True)
class Module:
    """A network in evaluation mode, with a wrapper that has plain tensors in and out.

    Attributes:
        wrapped: takes tensors in the order of `graph.inputs`, gives them in that of `outputs`.
        origin: the library, and its version, for the lineage.
    """

    wrapped: Any
    graph: Graph
    origin: str


def load_module(folder: Path, graph: Graph, task: str) -> Module:
    """Load a folder's weights into the class that its `config.json` names.

    Args:
        folder: of transformers or timm, with safetensors.
        graph: names and sides of what goes in and comes out.
        task: what it is used for.

    Raises:
        ConfigError: the library is not installed, or the task cannot be exported.
        ModelError: the folder does not hold such a model.
    """
    if task not in _AUTO:
        raise ConfigError(
            f"{folder}: models for {task} are not exported; tasks that are: {', '.join(_AUTO)}"
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "to export a model install: pip install 'streamer[torch]' onnx"
        ) from error
    network, origin = _timm(folder, config) if is_timm(config) else _transformers(folder, task)
    inputs = [tensor.name for tensor in graph.inputs]
    outputs = [tensor.name for tensor in graph.outputs]
    plain = is_timm(config)

    class Wrapper(torch.nn.Module):  # type: ignore[misc] # of Torch nothing is known to mypy
        """The network with tensors by position."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: Any) -> Any:
            if plain:
                return self.network(tensors[0])
            given = dict(zip(inputs, tensors, strict=True))
            found = self.network(**given, return_dict=True)
            values = tuple(found[name] for name in outputs)
            return values[0] if len(values) == 1 else values

    # a wrapper left in training mode makes the exporter switch dropout on again
    return Module(Wrapper().eval(), graph, origin)


def _transformers(folder: Path, task: str) -> tuple[Any, str]:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError("to export it install: pip install 'streamer[torch]' onnx") from error
    transformers.logging.set_verbosity_error()
    auto = getattr(transformers, _AUTO[task])
    try:
        network = auto.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: transformers cannot load it: {told:.400}") from error
    network.config.use_cache = False
    return network.float().eval(), f"transformers {transformers.__version__}"


def _timm(folder: Path, config: dict[str, Any]) -> tuple[Any, str]:
    return load_timm(folder / "model.safetensors", config), f"timm {version('timm')}"
