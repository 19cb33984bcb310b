"""Another version put into service while records flow."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from streamer.config.topology import ModelRef
from streamer.errors import ModelError, StreamerError
from streamer.models import Version
from streamer.models.successor import check_successor
from streamer.pipeline.loaded import ModelVersion
from streamer.pipeline.model import Chosen, Model, Models, Split
from streamer.pipeline.room import refuse_short
from streamer.pipeline.step import Step
from streamer.pipeline.verify import verify, warm

_LOOK_EVERY_S = 0.2
_LEFT_OVER = 15
"""A priority below that of everything that serves; see setpriority(2)."""


class StoppedError(StreamerError):
    """The process is told to stop: nothing is swapped any more."""


@dataclass(frozen=True)
class Candidate:
    """A version beside the champion, and the records that it answers; none without a split."""

    version: str
    split: Split | None = None


class Swaps:
    """Loads, tries and swaps versions of registered models; called from one thread.

    Args:
        models: of the process.
        steps: all steps of all topologies.
        beside: whether a version is loaded beside the one that serves, or in its place.
        stopping: whether to give up.
    """

    def __init__(
        self,
        models: Models,
        steps: Iterable[Step],
        *,
        beside: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._models = models
        self._steps = list(steps)
        self._beside = beside
        self._stopping = stopping

    def serve(
        self, name: str, champion: str, candidate: Candidate | None = None, *, back: bool = False
    ) -> None:
        """Put versions into service, in all topologies at once, between two waves.

        What is loaded already stays as it is. Returns when no wave runs any more with what was
        taken out of service, and its memory is free.

        Args:
            name: the model, as the registry knows it.
            champion: the version that is to answer.
            candidate: one beside it.
            back: whether the champion served before: it may lack labels that were added since.

        Raises:
            ConfigError: there is no such version.
            DownloadError: it cannot be fetched just now.
            ModelError: it fails on what is asked of it; what served before serves on.
            StoppedError: the process is to end.
        """
        if not self._beside:
            self._replace(name, champion, candidate, back=back)
            return
        fresh: list[ModelVersion] = []
        chosen: dict[Model, Chosen] = {}
        try:
            first = self._loaded(name, champion, fresh, back=back)
            second = self._loaded(name, candidate.version, fresh) if candidate else {}
            for model, version in first.items():
                beside = second.get(model)
                split = candidate.split if candidate else None
                chosen[model] = Chosen(version, beside, split)
        except BaseException:
            for version in fresh:
                version.close()
            raise
        self._free(self._models.change(chosen))

    def _loaded(
        self, name: str, number: str, fresh: list[ModelVersion], *, back: bool = False
    ) -> dict[Model, ModelVersion]:
        """Give a version of every model of the name: one that is there, or a fresh one."""
        there: dict[Model, ModelVersion] = {}
        models = self._models.following(name)
        for model in models:
            for version in model.chosen_now.versions:
                if version.version_name == number:
                    there[model] = version
        found = {}
        for model in models:
            if model not in there:
                found[model] = self._found(model, number, back=back)
        if found:
            first_found = next(iter(found.items()))
            refuse_short(*first_found)
            self._try(*first_found)
        for model, one in found.items():
            there[model] = self._load(model, one)
            fresh.append(there[model])
        return there

    def _found(self, model: Model, number: str, *, back: bool) -> Version:
        """Fetch a version, and see whether it may take the champion's place."""
        version = self._models.version(model.ref, Path(), model.task, number)
        check_successor(version.manifest, model.champion.version.manifest, back=back)
        return version

    def _load(self, model: Model, version: Version) -> ModelVersion:
        """Load a version, warm it up, and see whether every step can read what it says."""
        self._go_on()
        with _told(version):
            loaded = self._models.load(version, model.ref)
            try:
                for step in self._steps:
                    if step.model is model:
                        step.interpreter(loaded)
                warm(loaded)
            except BaseException:
                loaded.close()
                raise
        return loaded

    def _free(self, versions: Sequence[ModelVersion]) -> None:
        """Close versions once the last wave that runs with them has left the line.

        Raises:
            StoppedError: the process is to end, which frees them too.
        """
        for version in versions:
            while not version.left(_LOOK_EVERY_S):
                self._go_on()
            version.close()

    def _try(self, model: Model, version: Version) -> None:
        """Let a version answer in a process of its own: a crash costs that one."""
        with ThreadPoolExecutor(1, "trial", initializer=_step_back) as thread:
            thread.submit(try_alone, self._models, version, model.ref).result()
        self._go_on()

    def _replace(
        self, name: str, champion: str, candidate: Candidate | None, *, back: bool
    ) -> None:
        """Put a version in the place of another: the line is emptied first, and waits."""
        if candidate is not None:
            raise ModelError(
                f"{name} {candidate.version}: with models.swap: replace there is no room beside "
                "the champion"
            )
        before = {m: m.champion for m in self._models.following(name)}
        before = {m: v for m, v in before.items() if v.version_name != champion}
        found = {model: self._found(model, champion, back=back) for model in before}
        if not found:
            return
        self._models.hold_back(on=True)
        try:
            while not self._models.take_out(before.values()):
                self._go_on()
                for version in before.values():
                    version.left(_LOOK_EVERY_S)
            for version in before.values():
                version.close()
            self._models.change(self._instead(before, found))
        finally:
            self._models.hold_back(on=False)

    def _instead(
        self, before: Mapping[Model, ModelVersion], found: Mapping[Model, Version]
    ) -> dict[Model, Chosen]:
        """Load versions into the room of others; where that fails, the others again.

        Raises:
            ModelError: it failed, and what served before serves again.
        """
        loaded: dict[Model, Chosen] = {}
        try:
            self._try(*next(iter(found.items())))
            for model, version in found.items():
                loaded[model] = Chosen(self._load(model, version))
        except BaseException:
            for chosen in loaded.values():
                chosen.champion.close()
            again = {m: self._models.load(v.version, m.ref) for m, v in before.items()}
            self._models.change({model: Chosen(version) for model, version in again.items()})
            raise
        return loaded

    def _go_on(self) -> None:
        if self._stopping():
            raise StoppedError("the process ends")


def try_alone(models: Models, version: Version, ref: ModelRef) -> None:
    """Let a version answer in a process of its own.

    Raises:
        ModelError: it does not load, crashes, or fails what is asked of it.
    """
    alone = {"isolation": "process", "sessions": 1}
    with _told(version):
        tried = models.load(version, ref.model_copy(update=alone))
        try:
            verify(tried)
        finally:
            tried.close()


def _step_back() -> None:
    """Let what serves go first: the calling thread, and what it starts, get what is left over."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _LEFT_OVER)


@contextmanager
def _told(version: Version) -> Iterator[None]:
    """Say of what version an error is."""
    of = f"{version.manifest.name} {version.manifest.version}"
    try:
        yield
    except StoppedError:
        raise
    except (StreamerError, MemoryError) as error:
        raise ModelError(f"{of}: {error}") from error
    except Exception as error:
        raise ModelError(f"{of}: {type(error).__name__}: {error}") from error
