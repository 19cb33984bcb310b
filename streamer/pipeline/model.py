"""The models of a process: which versions each of them has, and which of them a wave runs with."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition
from typing import cast

from streamer.config.settings import ModelSettings
from streamer.config.topology import ModelRef
from streamer.deployments.rollout import timed
from streamer.errors import StreamerError
from streamer.models import Version, load_version
from streamer.models.registry import Registry, open_registry
from streamer.pipeline.loaded import ModelVersion, SessionsOf, open_sessions
from streamer.records import Item, Record, Wave

Split = Callable[[Record], bool]
"""Whether the candidate answers a record, not the champion: by its key, the same each time."""

Trial = Callable[[Version, ModelRef], None]
"""Raises what speaks against loading a version in this process."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The versions of one model that a wave runs with, fixed when it enters the line.

    Attributes:
        champion: the version that answers.
        candidate: one beside it, that answers the records of its share.
        split: says which these are.
    """

    champion: ModelVersion
    candidate: ModelVersion | None = None
    split: Split | None = None

    def of(self, item: Item) -> ModelVersion:
        """Give the version that answers an item: the same one in every step."""
        if self.candidate is None or self.split is None or not self.split(item.record):
            return self.champion
        return self.candidate

    def timed(self, item: Item) -> bool:
        """Whether the run on an item is compared: of the candidate's, and of as many others."""
        if self.candidate is None or self.split is None:
            return False
        return timed(self.split, item.record)

    @property
    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions that may be asked."""
        return (self.champion,) if self.candidate is None else (self.champion, self.candidate)


class Model:
    """One model of the process: the version that serves, and perhaps a candidate beside it.

    Steps never ask it for a version: they ask the wave, `model.chosen(wave)`. What is changed here
    holds for waves that enter the line afterwards; those in it keep what they came with. Only
    `Models` changes it, under the lock under which waves enter.

    Attributes:
        ref: how the topology names it, and how it is run.
        task: what the topology wants of it, if it says so.
        chosen_now: what the next wave gets.
    """

    def __init__(self, ref: ModelRef, champion: ModelVersion, task: str | None = None) -> None:
        self.ref = ref
        self.task = task
        self.chosen_now = Chosen(champion)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.champion.name

    @property
    def champion(self) -> ModelVersion:
        """The version that serves now."""
        return self.chosen_now.champion

    @property
    def registered(self) -> str | None:
        """The registry's name of a model that follows its deployments; None for all others."""
        return registered_name(self.ref)

    def chosen(self, wave: Wave) -> Chosen:
        """Give the versions that a wave came with."""
        return cast("Chosen", wave.versions[self])


def chosen_of(wave: Wave) -> list[Chosen]:
    """Give the versions of all models that a wave came with."""
    return [cast("Chosen", chosen) for chosen in wave.versions.values()]


class Models:
    """The models of a process; whoever names the same one the same way shares it.

    A wave enters with the versions of all its models as of one moment, so what `change` sets for
    several models (the same one on two devices, say) is never seen by halves.

    Attributes:
        registry: where `registry:` is looked up.
        deployed: by registered name, the version that is to serve; the newest where none is told.
        failed: the registered model that could not be opened, if one could not.
        trial: what registered models have to pass before they are loaded here, if anything.
    """

    def __init__(self, settings: ModelSettings, sessions: SessionsOf = open_sessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._open: dict[tuple[str, str | None, ModelRef], Model] = {}
        self._changed = Condition()
        self._held_back = False
        self._taken_out = False
        self.registry: Registry = open_registry(settings)
        self.deployed: dict[str, str] = {}
        self.failed: str | None = None
        self.trial: Trial | None = None

    def version(
        self, ref: ModelRef, beside: Path, task: str | None, number: str | None = None
    ) -> Version:
        """Find a version without loading it.

        Args:
            ref: the model.
            beside: where relative uris are looked up first.
            task: what the topology wants of it.
            number: of a registered model, the version; what is deployed if left out.

        Raises:
            ConfigError: there is no such version.
            DownloadError: the registry cannot be reached.
            ModelError: its files are not what its manifest says.
        """
        name = registered_name(ref)
        number = number or self.deployed.get(name or "")
        found = load_version(
            f"registry:{name}@{number}" if name and number else ref.uri,
            beside=beside,
            models_dir=self._settings.dir,
            task=task,
            registry=self.registry,
            options=ref.options,
            cache=self._settings.cache,
        )
        if name is None:
            return found
        # Of a version without a manifest it is the registry's number.
        named = {"version": number or self.registry.folder(name).name}
        return replace(found, manifest=found.manifest.model_copy(update=named))

    def load(self, version: Version, ref: ModelRef) -> ModelVersion:
        """Open a version's sessions, beside whatever serves.

        Raises:
            ModelError: it cannot be loaded, or its manifest does not fit its file.
            ConfigError: its framework is not installed.
        """
        return ModelVersion(version, ref, self._sessions)

    def open(self, ref: ModelRef, beside: Path, task: str | None = None) -> Model:
        """Load a model, or give the one that is loaded.

        Raises:
            ConfigError: there is no such model.
            ModelError: it cannot be loaded, or its manifest does not fit its file.
        """
        try:
            version = self.version(ref, beside, task)
            file = f"{version.manifest.task} {version.file}"
            follows = registered_name(ref)  # who names one version is not swapped with the others
            key = (file, follows, ref.model_copy(update={"uri": ""}))
            if key not in self._open:
                if self.trial is not None and follows is not None:
                    self.trial(version, ref)
                self._open[key] = Model(ref, self.load(version, ref), task)
        except StreamerError:
            self.failed = registered_name(ref)
            raise
        return self._open[key]

    def following(self, name: str) -> list[Model]:
        """Give the models that follow the deployments of a registered name."""
        return [model for model in self if model.registered == name]

    def enter(self, wave: Wave, models: Iterable[Model]) -> None:
        """Fix the versions that a wave runs with, and hold them."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken_out)
            for model in models:
                chosen = model.chosen_now
                wave.versions[model] = chosen
                for version in chosen.versions:
                    version.hold()

    def leave(self, wave: Wave) -> None:
        """Let go of a wave's versions: it is answered, or given up."""
        versions, wave.versions = wave.versions, {}
        for chosen in versions.values():
            for version in cast("Chosen", chosen).versions:
                version.release()

    def change(self, chosen: Mapping[Model, Chosen]) -> list[ModelVersion]:
        """Set what waves get from now on; give the versions that no new wave gets any more.

        These are still run by waves in the line: `left`, then `close`.
        """
        with self._changed:
            before = [version for model in chosen for version in model.chosen_now.versions]
            for model, now in chosen.items():
                model.chosen_now = now
            kept = {id(v) for model in self._open.values() for v in model.chosen_now.versions}
        return [version for version in before if id(version) not in kept]

    @property
    def held_back(self) -> bool:
        """Whether lines are to cut no wave just now: versions are being replaced."""
        return self._held_back

    def hold_back(self, *, on: bool) -> None:
        """Ask lines to cut no waves, or to go on."""
        with self._changed:
            self._held_back = on
            self._taken_out = self._taken_out and on
            self._changed.notify_all()

    def take_out(self, versions: Iterable[ModelVersion]) -> bool:
        """Let no wave enter any more if none is left that runs with these; tell whether so."""
        with self._changed:
            self._taken_out = all(version.left(0) for version in versions)
            return self._taken_out

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self._open.values()))

    def close(self) -> None:
        """Close all models."""
        self.hold_back(on=False)
        for model in self._open.values():
            for version in model.chosen_now.versions:
                version.close()
        self._open.clear()


def registered_name(ref: ModelRef) -> str | None:
    """Give the registry's name of a model whose version the deployments decide."""
    name = ref.uri.removeprefix("registry:")
    return None if name == ref.uri or "@" in name else name


__all__ = [
    "Chosen",
    "Model",
    "ModelVersion",
    "Models",
    "SessionsOf",
    "Split",
    "Trial",
    "open_sessions",
    "registered_name",
]
