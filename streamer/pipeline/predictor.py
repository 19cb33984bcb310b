"""A model asked on the spot, without Kafka."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from streamer.config import Settings
from streamer.config.topology import ModelRef, StepConfig
from streamer.errors import ConfigError, RecordError
from streamer.pipeline.model import Model, Models
from streamer.pipeline.step import Step
from streamer.records import Item, Record, Sample, Slice, TopicPartition, Wave


class Silent:
    """Nobody counts here."""

    def batch_ran(self, **event: Any) -> None:
        """Let it pass."""
        del event


def asked(step: Step, samples: Sequence[Sample]) -> Sequence[Item]:
    """Let a step answer samples with what its model has in service now."""
    items = [Item(Record("", 0, number, 0, None, b"")) for number in range(len(samples))]
    wave = Wave(0, {TopicPartition("", 0): Slice(0, len(items), tuple(items))}, 0, 0.0)
    wave.versions[step.model] = step.model.chosen_now
    step.prepare(wave, items, samples)
    return step.finish(step.begin(wave)).items


class Predictor:
    """Answers samples with the same steps as the line."""

    def __init__(self, model: Model, models: Models, step: Step) -> None:
        self.model = model
        self._models = models
        self._step = step

    @classmethod
    def open(
        cls,
        uri: str,
        settings: Settings,
        *,
        task: str | None = None,
        threshold: float | None = None,
        top_k: int | None = None,
    ) -> Self:
        """Load a model.

        Raises:
            ConfigError: there is no such model, or it is made for another task.
            ModelError: it cannot be loaded.
        """
        models = Models(settings.models)
        model = models.open(ModelRef(uri=uri), Path.cwd(), task)
        manifest = model.champion.version.manifest
        if task and manifest.task != task:
            message = f"{uri}: made for '{manifest.task}', not for '{task}'"
            raise ConfigError(message)
        config = StepConfig(model=manifest.name, threshold=threshold, top_k=top_k)
        step = Step("try", config, manifest.task, model, Silent())
        step.interpreter(model.champion)
        return cls(model, models, step)

    @property
    def kinds(self) -> frozenset[str]:
        """What the model takes: image, text, pair."""
        return frozenset({self.model.champion.preprocessor.kind})

    def predict(self, samples: Sequence[Sample]) -> list[Any | RecordError]:
        """Answer samples: the task's output each, or why there is none."""
        return [
            RecordError(item.rejection.message, reason=item.rejection.reason)
            if item.rejection is not None
            else item.answers["try"].output
            for item in asked(self._step, samples)
        ]

    def close(self) -> None:
        """Free the model."""
        self._models.close()
