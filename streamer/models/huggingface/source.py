"""What a Hugging Face folder says beside its weights, and the question where it says too little."""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.huggingface.network import network
from streamer.models.template import template

_MAX_JSON_BYTES = 2**24


@dataclass(frozen=True)
class Source:
    """A folder with `config.json` and its companions.

    Attributes:
        folder: where they are.
        file: the model file among them.
        graph: the outside of it.
        task: what the model is used for.
    """

    folder: Path
    file: Path
    graph: Graph
    task: str | None = None
    _read: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `config.json` says."""
        return self.read("config.json")

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file; a missing one says nothing.

        Raises:
            ModelError: it is no JSON object.
        """
        if name not in self._read:
            self._read[name] = _object(self.folder / name)
        return self._read[name]

    def output(self, *names: str) -> Tensor:
        """Give the output of one of these names, else the first one."""
        for tensor in self.graph.outputs:
            if tensor.name in names:
                return tensor
        return self.graph.outputs[0]

    def asking(self, what: str) -> ModelError:
        """Ask for what the files do not say, with the `model.yaml` to complete."""
        graph = self.graph if self.graph.outputs else network(self.config, self.task or "")
        labels = self.config.get("id2label") or {}
        if labels:
            names = labels if isinstance(labels, list) else labels.values()
            graph = replace(graph, class_labels=tuple(str(name) for name in names))
        lines = template(self.file, graph, self.task)
        return ModelError(
            f"{self.folder}: the files there do not say {what}. Or put a model.yaml there, with "
            f"the values in <> filled in:\n{lines}"
        )


def _object(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{file}: larger than 16 MiB, which no configuration is")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected an object, found {type(content).__name__}")
    return content
