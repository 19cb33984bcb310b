"""A topology's steps with their models loaded, and what follows for the line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamer.config import Topology
from streamer.errors import ConfigError, ModelError
from streamer.formats import SCHEMED
from streamer.pipeline.model import Models
from streamer.pipeline.step import Step, StepEvents
from streamer.records import Wave
from streamer.tasks import task_named

Kind = Literal["image", "text", "pair"]


@dataclass(frozen=True)
class Assembly:
    """What a topology is made of in this process.

    Attributes:
        steps: in the topology's order.
        kind: what a record is decoded to.
        models: of the process, from which each wave gets the versions it runs with.
    """

    steps: Sequence[Step]
    kind: Kind
    models: Models

    @property
    def input_bytes(self) -> int:
        """What the model inputs of one record take at the most just now, roughly."""
        return sum(
            max(version.input_bytes for version in step.model.chosen_now.versions)
            for step in self.steps
            if step.origin is None
        )

    def longest_edge(self) -> int | None:
        """Give the longest side of any input made of the picture; None if it is kept whole."""
        if any(step.origin is not None for step in self.steps):
            return None
        versions = [one for step in self.steps for one in step.model.chosen_now.versions]
        edges = [version.longest_edge for version in versions]
        known = [edge for edge in edges if edge is not None]
        return max(known) if known and len(known) == len(edges) else None

    def enter(self, wave: Wave) -> Wave:
        """Fix the versions that a wave runs with through all steps."""
        self.models.enter(wave, dict.fromkeys(step.model for step in self.steps))
        return wave


def assembled(topology: Topology, file: Path, models: Models, events: StepEvents) -> Assembly:
    """Load a topology's models and join them to steps.

    Raises:
        ConfigError: steps, tasks and source do not fit together.
        ModelError: a model does not load.
    """
    steps: list[Step] = []
    kinds: set[Kind] = set()
    for name, config in topology.steps.items():
        where = f"{file}: steps.{name}"
        with _named(f"{file}: models.{config.model}"):
            model = models.open(topology.model_of(config), file.parent, config.task)
        with _named(where):
            task = task_named(config.task or model.champion.version.manifest.task)
            step = Step(name, config, task.name, model, events)
            step.interpreter(model.champion)
        if config.from_:
            _crops_fit(where, config.from_, {s.name: s.task for s in steps}, task.kinds)
        else:
            kinds.add(_kind(where, topology.source.format, model.champion.preprocessor.kind))
        steps.append(step)
    if len(kinds) != 1:
        message = f"{file}: steps on the record take different things: {', '.join(sorted(kinds))}"
        raise ConfigError(message)
    return Assembly(steps, kinds.pop(), models)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say in an error which file and key it is about."""
    try:
        yield
    except (ConfigError, ModelError) as error:
        raise type(error)(f"{where}: {error}") from error


def _kind(where: str, form: str, kind: Kind) -> Kind:
    """Say what a record must be decoded to for a step."""
    if form not in (kind, "json", "cloudevents", *SCHEMED):
        hint = " (a pair of sentences comes as source.format: json)" if kind == "pair" else ""
        message = f"{where}: the model takes {kind}, the source is {form}{hint}"
        raise ConfigError(message)
    return kind


def _crops_fit(where: str, origin: str, tasks: dict[str, str], kinds: frozenset[Kind]) -> None:
    step = origin.rpartition(".")[0]
    if not task_named(tasks[step]).yields_crops:
        message = f"{where}.from: the step '{step}' ({tasks[step]}) finds no boxes to cut"
        raise ConfigError(message)
    if "image" not in kinds:
        message = f"{where}: crops are pictures, and the task takes {' or '.join(sorted(kinds))}"
        raise ConfigError(message)
