"""What a version carries in `trainable/`: weights, and the description of their network."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
            key = match[1] if match else ".".join(name.split(".")[:-1][:2])
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
    own = config.get("model_type") == OWN
    make: Callable[[int], Any]
    load: Callable[[], Any]
    if own:
        origin = f"torch {torch.__version__}"
        make = partial(_own, config)
        load = partial(_own_loaded, folder, config, old)
    else:
        origin, make, load = _of_transformers(folder, form, version)
    try:
        module = make(len(labels)) if fresh else load()
        if len(labels) > old and not fresh:
            before, module = module.float().state_dict(), make(len(labels))
            module.load_state_dict(_grown(module.state_dict(), before, old))
    except (KeyError, RuntimeError, OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: cannot be loaded: {told:.400}") from error
    if not own and labels:
        module.config.id2label = dict(enumerate(labels))
        module.config.label2id = {label: at for at, label in enumerate(labels)}
    return Network(module.float(), config, graph, own, origin)


def _own(config: dict[str, Any], labels: int) -> Any:
    from streamer.retraining.tuning.nets import built

    return built(config, labels)


def _own_loaded(folder: Path, config: dict[str, Any], labels: int) -> Any:
    from safetensors.torch import load_file

    module = _own(config, labels)
    module.load_state_dict(load_file(folder / _WEIGHTS))
    return module


def _of_transformers(
    folder: Path, form: Form, version: Version
) -> tuple[str, Callable[[int], Any], Callable[[], Any]]:
    """Give the library, what builds the network for so many labels, and what loads it."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError("to learn on it install: pip install 'streamer[torch]'") from error
    transformers.logging.set_verbosity_error()
    name = _AUTO[form]
    if version.manifest.task == "image-classification":
        name = "AutoModelForImageClassification"
    if any(output.decode == "embedding" for output in version.manifest.outputs.values()):
        name = "AutoModel"
    auto = getattr(transformers, name)

    def make(labels: int) -> Any:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        if labels:
            config.num_labels = labels
        return auto.from_config(config)

    def load() -> Any:
        return auto.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )

    return f"transformers {transformers.__version__}", make, load


def _grown(wanted: Mapping[str, Any], before: Mapping[str, Any], old: int) -> dict[str, Any]:
    """Put the weights of new labels behind the old ones; what stands for nothing stays last.

    Raises:
        ConfigError: labels are not rows of a layer.
    """
    found = {}
    for name, tensor in wanted.items():
        was = before[name]
        if was.shape == tensor.shape:
            found[name] = was
            continue
        if was.shape[1:] != tensor.shape[1:] or was.shape[0] not in (old, old + 1):
            raise ConfigError(
                f"labels are new, and '{name}' in {TRAINABLE}/ has no row for each of its {old} "
                "labels: learn by strategy: {kind: from-scratch}"
            )
        # a new label begins improbable
        grown = tensor * 0 if tensor.ndim > 1 else tensor * 0 + was[:old].min()
        grown[:old] = was[:old]
        if was.shape[0] > old:
            grown[-1] = was[-1]
        found[name] = grown
    return found
