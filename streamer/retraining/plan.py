"""The sidecar's file and all that it names, read and checked before anything is consumed."""

from dataclasses import dataclass
from pathlib import Path

from streamer.config import Settings, load_topology
from streamer.config.topology import StepConfig, Topology
from streamer.errors import ConfigError
from streamer.formats import SCHEMED
from streamer.models import Version
from streamer.models.registry import open_registry
from streamer.models.version import load_version
from streamer.retraining.config import RetrainFile, load_retrain
from streamer.retraining.grading import METRICS
from streamer.retraining.intake import ANSWER_OF
from streamer.retraining.learner import Learner
from streamer.retraining.store import parquet
from streamer.retraining.truth import form_of


@dataclass(frozen=True)
class Plan:
    """The file, and what was found by it.

    Attributes:
        step: name of the step whose answers are labelled.
        only_step: whether the topology has no other.
        version: the newest in the registry, by which the file was checked.
        text: what is going to be learnt, in a sentence.
    """

    file: RetrainFile
    path: Path
    topology: Topology
    step: str
    only_step: bool
    version: Version
    place: str
    text: str


def planned(path: Path, settings: Settings) -> Plan:
    """Read the sidecar's file and all that it names; nothing is consumed.

    Raises:
        ConfigError: the file is wrong, or the strategy can't be had of the model.
        ModelError: the model's version can't be read.
    """
    parquet()
    file = load_retrain(path)
    topology_path = path.parent / file.topology
    topology = load_topology(topology_path)
    _check_formats(file, topology)
    step = _step(file, topology)
    version = load_version(
        file.model,
        beside=path,
        models_dir=settings.models.dir,
        registry=open_registry(settings.models),
    )
    if version.manifest.task not in ANSWER_OF:
        known = ", ".join(ANSWER_OF)
        raise ConfigError(f"{file.model}: is for {version.manifest.task}; learnt are {known}")
    suited = METRICS[form_of(version.manifest)]
    if file.gate.metric not in ("auto", *suited):
        raise ConfigError(
            f"gate.metric: {file.gate.metric} is none of {file.model}, which is for "
            f"{version.manifest.task}: write {' or '.join(suited)}, or leave it out"
        )
    text = Learner(file.strategy, file.budget.threads).check(version)
    place = place_of_set(file, path)
    return Plan(file, path, topology, step, len(topology.steps) == 1, version, place, text)


def place_of_set(file: RetrainFile, path: Path) -> str:
    """Give the folder or URL of the labelled set and the runs."""
    place = file.set or str(path.parent / "retraining" / file.name)
    if "://" not in place and not Path(place).is_absolute():
        place = str(path.parent / place)
    return place


def _check_formats(file: RetrainFile, topology: Topology) -> None:
    """Check that records and answers are of a form that is read here.

    Raises:
        ConfigError: they are not.
    """
    source, sink = topology.source.format, topology.sink.format
    if source in SCHEMED:
        raise ConfigError(f"{file.topology}: source.format: the sidecar reads no {source} yet")
    if sink in SCHEMED or (sink == "cloudevents" and topology.sink.mode == "structured"):
        raise ConfigError(
            f"{file.topology}: sink.format: the sidecar reads answers as JSON, or as CloudEvents "
            "in binary mode"
        )


def _step(file: RetrainFile, topology: Topology) -> str:
    """Find the step whose answers are labelled.

    Raises:
        ConfigError: there is none, or it is not said which of several.
    """
    using = [name for name, step in topology.steps.items() if _uses(topology, step, file)]
    if file.step is not None:
        if file.step not in using:
            raise ConfigError(f"step: '{file.step}' of {file.topology} does not use {file.model}")
        return file.step
    if len(using) != 1:
        told = f"the steps {', '.join(using)} use it: write step:" if using else "no step uses it"
        raise ConfigError(f"model: {file.model}: {file.topology}: {told}")
    return using[0]


def _uses(topology: Topology, step: StepConfig, file: RetrainFile) -> bool:
    return topology.models[step.model].uri.partition("@")[0] == file.model
