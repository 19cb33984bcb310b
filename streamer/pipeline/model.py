"""The models of a process: which versions each of them has, and which of them a wave runs with."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import cast

from streamer.config.topology import ModelRef
from streamer.models import Version, load_version
from streamer.pipeline.loaded import ModelVersion, SessionsOf, open_sessions
from streamer.records import Item, Record, Wave

Split = Callable[[Record], bool]
"""Whether the candidate answers a record, not the champion: by its key, the same each time."""


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
        chosen_now: what the next wave gets.
    """

    def __init__(self, ref: ModelRef, champion: ModelVersion) -> None:
        self.ref = ref
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
        name = self.ref.uri.removeprefix("registry:")
        return None if name == self.ref.uri or "@" in name else name

    def chosen(self, wave: Wave) -> Chosen:
        """Give the versions that a wave came with."""
        return cast("Chosen", wave.versions[self])


class Models:
    """The models of a process; whoever names the same one the same way shares it.

    A wave enters with the versions of all its models as of one moment, so what `change` sets for
    several models (the same one on two devices, say) is never seen by halves.
    """

    def __init__(self, models_dir: Path, sessions: SessionsOf = open_sessions) -> None:
        self._dir = models_dir
        self._sessions = sessions
        self._open: dict[tuple[Path | str, ModelRef], Model] = {}
        self._lock = Lock()

    def version(self, ref: ModelRef, beside: Path, task: str | None) -> Version:
        """Find a version without loading it."""
        return load_version(
            ref.uri, beside=beside, models_dir=self._dir, task=task, options=ref.options
        )

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
        version = self.version(ref, beside, task)
        key = (f"{version.manifest.task} {version.file}", ref.model_copy(update={"uri": ""}))
        if key not in self._open:
            self._open[key] = Model(ref, self.load(version, ref))
        return self._open[key]

    def enter(self, wave: Wave, models: Iterable[Model]) -> None:
        """Fix the versions that a wave runs with, and hold them."""
        with self._lock:
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
        with self._lock:
            before = [version for model in chosen for version in model.chosen_now.versions]
            for model, now in chosen.items():
                model.chosen_now = now
            kept = {id(v) for model in self._open.values() for v in model.chosen_now.versions}
        return [version for version in before if id(version) not in kept]

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self._open.values()))

    def close(self) -> None:
        """Close all models."""
        for model in self._open.values():
            for version in model.chosen_now.versions:
                version.close()
        self._open.clear()


__all__ = ["Chosen", "Model", "ModelVersion", "Models", "SessionsOf", "Split", "open_sessions"]
