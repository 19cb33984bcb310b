"""One model at work on a wave: inputs into batches, batches run, results back to their items."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, Protocol

import msgspec

from streamer.batch import padded_cost, planned, why_closed
from streamer.config.topology import StepConfig
from streamer.errors import RecordError
from streamer.infer import OutOfMemoryError, Session
from streamer.pipeline.model import Chosen, Model, ModelVersion
from streamer.pipeline.repeats import digest_of
from streamer.postprocess import Interpreter
from streamer.records import Answer, Image, Item, ModelInput, Rejection, Stage, Wave


class StepEvents(Protocol):
    """What a step tells of its batches."""

    def batch_ran(  # noqa: PLR0913 - one event
        self,
        *,
        step: str,
        model: ModelVersion,
        items: int,
        waste: float,
        seconds: float,
        reason: str,
        timed: bool,
    ) -> None:
        """A batch was run; `timed` if it is to be compared with the runs of another version."""


class Part(msgspec.Struct, eq=False, gc=False):
    """One model input of an item, the version that is asked, and what became of it.

    Attributes:
        timed: whether the run tells how fast one version is beside another.
    """

    item: Item
    version: ModelVersion
    given: ModelInput
    crop: int | None = None
    box: dict[str, int] | None = None
    result: Any = None
    timed: bool = False


@dataclass(slots=True)
class Work:
    """A wave whose batches are running."""

    wave: Wave
    parts: list[Part] = field(default_factory=list)
    running: list[Future[None]] = field(default_factory=list)


class Step:
    """A step of a topology, with its model loaded.

    Which version of the model answers an item is the wave's choice, made when it entered the line.
    """

    def __init__(
        self, name: str, config: StepConfig, task: str, model: Model, events: StepEvents
    ) -> None:
        self.name = name
        self.task = task
        self.model = model
        self.origin = config.from_.rpartition(".")[0] if config.from_ else None
        self._config = config
        self._events = events

    def interpreter(self, version: ModelVersion) -> Interpreter:
        """Give what reads a version's outputs for this step.

        Raises:
            ConfigError: the outputs are not what the step's task needs.
        """
        return version.interpreter(self.task, self._config.threshold, self._config.top_k)

    def prepare(self, wave: Wave, items: Sequence[Item], samples: Sequence[Any]) -> None:
        """Make the model's inputs of decoded samples; what does not fit is rejected."""
        chosen = self.model.chosen(wave)
        if chosen.candidate is None:
            self._prepare(chosen.champion, items, samples)
            return
        for version in chosen.versions:
            at = [n for n, item in enumerate(items) if chosen.of(item) is version]
            if at:
                self._prepare(version, [items[n] for n in at], [samples[n] for n in at])

    def _prepare(
        self, version: ModelVersion, items: Sequence[Item], samples: Sequence[Any]
    ) -> None:
        outcomes = self._prepared(version, samples)
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, RecordError):
                item.rejection = item.rejection or self._rejection("preprocess", outcome)
            else:
                item.inputs[self.name] = outcome

    def _prepared(
        self, version: ModelVersion, samples: Sequence[Any]
    ) -> Sequence[list[ModelInput] | RecordError]:
        """Prepare samples; one that the libraries below trip over takes no other with it."""
        try:
            return version.preprocessor.prepare(samples)
        except Exception as error:  # noqa: BLE001 - of whatever kind, it is one sample's own
            if len(samples) == 1:
                message = f"{type(error).__name__}: {error}"
                return [RecordError(message, reason="preprocess-failed")]
        return [outcome for one in samples for outcome in self._prepared(version, [one])]

    def recalled(self, wave: Wave, item: Item) -> Answer | None:
        """Give the answer that was given before to the same value by the same version."""
        version = self.model.chosen(wave).of(item)
        if version.repeats is None or item.record.value is None:
            return None
        if item.digest is None:
            item.digest = digest_of(item.record.value)
        found = version.repeats.get(self, item.digest)
        if found is None:
            return None
        return Answer(self.task, version.name, version.version_name, found[0])

    def begin(self, wave: Wave) -> Work:
        """Start a wave's batches; the sessions may still be busy with the wave before."""
        work = Work(wave)
        chosen = self.model.chosen(wave)
        for item in wave.items:
            if item.alive and not item.recalled:
                version = chosen.of(item)
                make = self._crops if self.origin else self._whole
                work.parts += make(item, version)
        for parts in _apart(chosen, work.parts):
            version = parts[0].version
            for indices in planned([part.given for part in parts], version.bounds):
                batch = [parts[index] for index in indices]
                work.running.append(version.submit(partial(self._run, version, batch)))
        return work

    def finish(self, work: Work) -> Wave:
        """Wait for a wave's batches and put the results together, record by record."""
        for future in work.running:
            future.result()
        chosen = self.model.chosen(work.wave)
        begin = end = 0  # parts lie in the order of their items
        for item in work.wave.items:
            while end < len(work.parts) and work.parts[end].item is item:
                end += 1
            if item.alive and not item.recalled:
                self._answer(item, chosen.of(item), work.parts[begin:end])
            begin = end
        return work.wave

    def _whole(self, item: Item, version: ModelVersion) -> list[Part]:
        return [Part(item, version, given) for given in item.inputs.pop(self.name, [])]

    def _crops(self, item: Item, version: ModelVersion) -> list[Part]:
        """Cut the boxes that the step before found out of the original picture."""
        found = item.answers.get(self.origin or "")
        if found is None or item.image is None:
            return []
        parts = []
        for number, entry in enumerate(found.output[: self._config.max_crops]):
            crop = _cut(item.image, entry["box"])
            [outcome] = self._prepared(version, [crop])
            if isinstance(outcome, RecordError):
                item.rejection = self._rejection("preprocess", outcome)
                return []
            parts += [Part(item, version, given, number, entry["box"]) for given in outcome]
        return parts

    def _run(
        self, version: ModelVersion, batch: list[Part], session: Session, tries: int = 1
    ) -> None:
        """Run a batch; one that fails is halved until the culprit is alone."""
        inputs = [part.given for part in batch]
        began = perf_counter()
        try:
            outputs = version.run(session, inputs)
            seconds = perf_counter() - began
            results = _guarded(self.interpreter(version).interpret, outputs, inputs)
        except Exception as error:  # noqa: BLE001 - the runtimes' errors have no common ancestor
            if isinstance(error, OutOfMemoryError):
                version.ceiling.ran_out(padded_cost(inputs))
                tries -= 1  # the device is short of memory; the records have done nothing
            if len(batch) > 1:
                middle = len(batch) // 2
                self._run(version, batch[:middle], session, tries + 1)
                self._run(version, batch[middle:], session, tries + 1)
                return
            stage: Stage = "postprocess" if isinstance(error, _InterpretError) else "infer"
            cause = error.__cause__ if isinstance(error, _InterpretError) else error
            batch[0].result = self._rejection(stage, cause or error, max(tries, 1))
            return
        version.took(inputs, seconds)
        for part, result in zip(batch, results, strict=True):
            part.result = (
                self._rejection("infer" if result.reason == "non-finite" else "postprocess", result)
                if isinstance(result, RecordError)
                else result
            )
        longest = max(part.given.length for part in batch)
        used = sum(part.given.length for part in batch)
        waste = 1 - used / (longest * len(batch)) if longest else 0.0
        self._events.batch_ran(
            step=self.name,
            model=version,
            items=len(batch),
            waste=waste,
            seconds=seconds,
            reason=why_closed(inputs, version.bounds),
            timed=batch[0].timed,
        )
        traces = [part.item.trace for part in batch if part.item.trace is not None]
        if traces:
            traces[0].ran(
                traces,
                step=self.name,
                model=version.name,
                version=version.version_name,
                items=len(batch),
                seconds=seconds,
            )

    def _answer(self, item: Item, version: ModelVersion, parts: list[Part]) -> None:
        for part in parts:
            if isinstance(part.result, Rejection):
                item.rejection = part.result
                return
        try:
            output: Any = (
                self._combined(version, parts)
                if not self.origin
                else [
                    {"item": part.crop, "box": part.box, "output": self._combined(version, [part])}
                    for part in parts
                ]
            )
        except RecordError as error:
            item.rejection = self._rejection("postprocess", error)
            return
        item.answers[self.name] = Answer(self.task, version.name, version.version_name, output)
        if item.digest is not None and version.repeats is not None:
            version.repeats.put(self, item.digest, output)

    def _combined(self, version: ModelVersion, parts: list[Part]) -> Any:
        return self.interpreter(version).combine([part.result for part in parts])

    def _rejection(self, stage: Stage, error: BaseException, tries: int = 1) -> Rejection:
        reason = error.reason if isinstance(error, RecordError) else f"{stage}-failed"
        return Rejection(stage, self.name, reason, type(error).__name__, str(error), tries)


def _apart(chosen: Chosen, parts: list[Part]) -> Iterable[list[Part]]:
    """Group what may share batches: by version, and apart what is timed.

    Equal shares of both versions are batched apart, so that both get their work in like amounts:
    else the one with the larger share looks faster by its larger batches.
    """
    if chosen.candidate is None:
        return [parts] if parts else []
    groups: dict[tuple[int, bool], list[Part]] = {}
    for part in parts:
        part.timed = chosen.timed(part.item)
        groups.setdefault((id(part.version), part.timed), []).append(part)
    return groups.values()


class _InterpretError(RuntimeError):
    """Interpretation failed, not the run."""


def _guarded(interpret: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return interpret(*arguments)
    except Exception as error:
        raise _InterpretError from error


def _cut(image: Image, box: dict[str, int]) -> Image:
    """Cut a box out of a picture, at least one pixel of it."""
    height, width = image.size
    left = min(max(int(box["xmin"]), 0), width - 1)
    top = min(max(int(box["ymin"]), 0), height - 1)
    right = min(max(int(box["xmax"]), left + 1), width)
    bottom = min(max(int(box["ymax"]), top + 1), height)
    return Image(image.pixels[top:bottom, left:right])
