"""A topology's steps with their models loaded, and what follows for the line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamer.config import Topology
from streamer.errors import ConfigError, ModelError
from streamer.models import Manifest
from streamer.pipeline.model import Models
from streamer.pipeline.step import Step, StepEvents
from streamer.postprocess import interpreter_for
from streamer.tasks import task_named

Kind = Literal["image", "text", "pair"]


@dataclass(frozen=True)
class Assembly:
    """What a topology is made of in this process.

    Attributes:
        steps: in the topology's order.
        kind: what a record is decoded to.
        input_bytes: what the model inputs of one record take at the most, roughly.
    """

    steps: Sequence[Step]
    kind: Kind
    input_bytes: int


def assembled(topology: Topology, file: Path, models: Models, events: StepEvents) -> Assembly:
    """Load a topology's models and join them to steps.

    Raises:
        ConfigError: steps, tasks and source do not fit together.
        ModelError: a model does not load.
    """
    steps: list[Step] = []
    kinds: set[Kind] = set()
    input_bytes = 0
    for name, config in topology.steps.items():
        where = f"{file}: steps.{name}"
        with _named(f"{file}: models.{config.model}"):
            model = models.open(topology.models[config.model], file.parent, config.task)
        manifest = model.version.manifest
        with _named(where):
            task = task_named(config.task or manifest.task)
            interpreter = interpreter_for(
                manifest, task.name, threshold=config.threshold, top_k=config.top_k
            )
        if config.from_:
            _crops_fit(where, config.from_, {s.name: s.task for s in steps}, task.kinds)
        else:
            kinds.add(_kind(where, topology.source.format, model.preprocessor.kind))
            input_bytes += _input_bytes(manifest)
        steps.append(Step(name, config, task.name, model, interpreter, events))
    if len(kinds) != 1:
        message = f"{file}: steps on the record take different things: {', '.join(sorted(kinds))}"
        raise ConfigError(message)
    return Assembly(steps, kinds.pop(), input_bytes)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say in an error which file and key it is about."""
    try:
        yield
    except (ConfigError, ModelError) as error:
        raise type(error)(f"{where}: {error}") from error


def _kind(where: str, form: str, kind: Kind) -> Kind:
    """Say what a record must be decoded to for a step."""
    if form not in ("json", kind):
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


def _input_bytes(manifest: Manifest) -> int:
    total = 0
    for given in manifest.inputs.values():
        if given.kind == "image":
            size = given.crop_size or given.size
            side = given.size.shortest_edge or 0
            total += 3 * (size.height or side) * (size.width or side)
        elif given.kind == "text":
            total += 8 * 64 * len(given.tensors)
    return total
