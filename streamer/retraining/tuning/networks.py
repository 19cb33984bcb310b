"""What a version carries in `trainable/`: weights, and the description of their network."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.errors import ConfigError, ModelError
from streamer.graphs.module import Module
from streamer.models import Version
from streamer.models.graph import Graph, read_graph
from streamer.retraining.challenger import TRAINABLE
from streamer.retraining.truth import Form, form_of

OWN = "streamer"
"""`model_type` of the project's own networks; others are transformers'."""
_WEIGHTS = "model.safetensors"
_AUTO: Mapping[Form, str] = {
    "label": "AutoModelForSequenceClassification",
    "labels": "AutoModelForSequenceClassification",
    "score": "AutoModelForSequenceClassification",
    "entities": "AutoModelForTokenClassification",
    "boxes": "AutoModelForObjectDetection",
}
_BLOCK = re.compile(r"^(.*?\.\d+)\.")


@dataclass
class Network:
    """A network that learns.

    Attributes:
        module: of Torch.
        config: what describes it, as JSON.
        graph: names of what goes in and comes out, as the version's file has them.
        own: whether it is one of the project's.
        origin: the library that it is of, with its version.
    """

    module: Any
    config: dict[str, Any]
    graph: Graph
    own: bool
    origin: str

    def __call__(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Compute outputs by name."""
        if self.own:
            given = [feeds[tensor.name] for tensor in self.graph.inputs]
            return {self.graph.outputs[0].name: self.module(*given)}
        wanted = {t.name: feeds[t.name] for t in self.graph.inputs}
        return dict(self.module(**wanted, return_dict=True))

    def blocks(self) -> list[list[str]]:
        """Name the parameters of each part, from what sees the input to what gives the answer.

        Parts are numbered layers as the network names them, and what stands between these.
        """
        found: dict[str, list[str]] = {}
        for name, _ in self.module.named_parameters():
            match = _BLOCK.match(name)
            key = match[1] if match else ".".join(name.split(".")[:2])
            found.setdefault(key, []).append(name)
        return list(found.values())

    def exportable(self) -> Module:
        """Give it with tensors by position, as exporters want it."""
        import torch

        network = self
        names = [tensor.name for tensor in self.graph.inputs]
        outputs = [tensor.name for tensor in self.graph.outputs]

        class Wrapper(torch.nn.Module):
            """The network with tensors by position."""

            def __init__(self) -> None:
                super().__init__()
                self.module = network.module

            def forward(self, *tensors: Any) -> Any:
                found = network(dict(zip(names, tensors, strict=True)))
                values = tuple(found[name] for name in outputs)
                return values[0] if len(values) == 1 else values

        return Module(Wrapper().eval(), self.graph, self.origin)

    def save(self, folder: Path) -> None:
        """Write what a later run starts from."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        state = self.module.state_dict()
        if self.own:
            save_file({name: one.contiguous() for name, one in state.items()}, folder / _WEIGHTS)
            text = json.dumps(self.config, indent=1)
            (folder / "config.json").write_text(text, encoding="utf-8")
        else:
            self.module.save_pretrained(folder, safe_serialization=True)


def description(version: Version) -> dict[str, Any]:
    """Read what describes a version's network.

    Raises:
        ConfigError: the version carries none.
    """
    file = version.folder / TRAINABLE / "config.json"
    if not file.is_file() or not (file.parent / _WEIGHTS).is_file():
        name = f"{version.manifest.name} {version.manifest.version}"
        raise ConfigError(
            f"{TRAINABLE}/ in the version, with config.json and {_WEIGHTS}, is needed, and {name} "
            "has none: of it head and calibrate can be had"
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def load_network(version: Version, labels: Sequence[str], old: int, *, fresh: bool) -> Network:
    """Load what a version carries.

    Args:
        version: with `trainable/`.
        labels: that it is to answer; those beyond `old` are new.
        old: how many it answers now.
        fresh: whether weights are drawn anew, and only the description is used.

    Raises:
        ConfigError: a library is missing, or the version carries nothing to learn on.
        ModelError: the weights cannot be read.
    """
    config = description(version)
    graph = read_graph(version.file)
    form = form_of(version.manifest)
    folder = version.folder / TRAINABLE
    try:
        import torch
    except ImportError as error:
        raise ConfigError("to learn on weights install: pip install 'streamer[torch]'") from error
    if config.get("model_type") == OWN:
        module = _own(folder, config, old if not fresh else len(labels), fresh=fresh)
        origin, own = f"torch {torch.__version__}", True
    else:
        module, origin = _of_transformers(
            folder, config, form, version, count=len(labels), fresh=fresh
        )
        own = False
    network = Network(module, config, graph, own, origin)
    if not fresh and len(labels) > old:
        _grow(module, old, len(labels))
    if not own and labels:
        module.config.num_labels = len(labels)
        module.config.id2label = dict(enumerate(labels))
        module.config.label2id = {label: at for at, label in enumerate(labels)}
    return network


def _own(folder: Path, config: dict[str, Any], labels: int, *, fresh: bool) -> Any:
    from safetensors.torch import load_file

    from streamer.retraining.tuning.nets import built

    try:
        module = built(config, labels)
        if not fresh:
            module.load_state_dict(load_file(folder / _WEIGHTS))
    except (KeyError, RuntimeError, OSError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: no network of this release: {told:.300}") from error
    return module


def _of_transformers(  # noqa: PLR0913 - where it is, and what it is for
    folder: Path,
    config: dict[str, Any],
    form: Form,
    version: Version,
    *,
    count: int,
    fresh: bool,
) -> tuple[Any, str]:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError("to learn on it install: pip install 'streamer[torch]'") from error
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name = _AUTO[form]
    if version.manifest.task == "image-classification":
        name = "AutoModelForImageClassification"
    if any(output.decode == "embedding" for output in version.manifest.outputs.values()):
        name = "AutoModel"
    auto = getattr(transformers, name)
    try:
        if fresh:
            described = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            if count:
                described.num_labels = count
            module = auto.from_config(described)
        else:
            module = auto.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: transformers cannot load it: {told:.400}") from error
    del config
    return module.float(), f"transformers {transformers.__version__}"


def _grow(module: Any, old: int, count: int) -> None:
    """Put new labels behind the old ones in the layers that give a number a label.

    Raises:
        ConfigError: it is not plain which layers those are.
    """
    import torch
    from torch import nn

    found = 0
    for _, parent in list(module.named_modules()):
        for name, layer in list(parent.named_children()):
            kind = (nn.Linear, nn.Conv2d)
            if not isinstance(layer, kind) or layer.weight.shape[0] not in (old, old + 1):
                continue
            rows = layer.weight.shape[0]
            more = count - old
            grown = torch.cat(
                [
                    layer.weight[:old],
                    torch.zeros_like(layer.weight[:1]).repeat(more, *[1] * (layer.weight.ndim - 1)),
                    layer.weight[old:],
                ]
            )
            low = layer.bias[:old].min().repeat(more)
            bias = torch.cat([layer.bias[:old], low, layer.bias[old:]])
            if isinstance(layer, nn.Linear):
                new: Any = nn.Linear(layer.in_features, rows + more)
                new.out_features = rows + more
            else:
                new = nn.Conv2d(layer.in_channels, rows + more, layer.kernel_size, layer.stride)
            new.weight.data, new.bias.data = grown.detach(), bias.detach()
            setattr(parent, name, new)
            found += 1
    if not found:
        raise ConfigError(
            f"labels are new, and no layer of the network in {TRAINABLE}/ has an output for each "
            f"of its {old} labels: learn by strategy: {{kind: from-scratch}}"
        )
