"""streamer's own way, from a folder to answers, for parity tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.config.options import TaskOptions
from streamer.config.settings import ModelSettings
from streamer.config.topology import Batch, ModelRef, StepConfig
from streamer.errors import RecordError
from streamer.infer import Session
from streamer.pipeline import Predictor
from streamer.pipeline.model import Models
from streamer.pipeline.step import Step
from streamer.records import Sample


class _Silent:
    def batch_ran(self, **event: Any) -> None:
        del event


class Asked:
    """A model opened as a topology's step opens it: manifest read off the folder, one session."""

    def __init__(
        self,
        folder: Path,
        task: str,
        *,
        top_k: int | None = None,
        deterministic: bool = False,
        **options: Any,
    ) -> None:
        self._models = Models(ModelSettings(dir=folder.parent))
        ref = ModelRef(
            uri=str(folder),
            device="cpu",
            sessions=1,
            options=TaskOptions(**options),
            batch=Batch(deterministic=deterministic),
        )
        model = self._models.open(ref, folder.parent, task)
        config = StepConfig(model="model", top_k=top_k)
        step = Step("try", config, task, model, _Silent())
        step.interpreter(model.champion)
        self._predictor = Predictor(model, self._models, step)
        self.version = model.champion
        self.session: Session = model.champion.sessions[0]

    def answers(self, samples: Sequence[Sample]) -> list[Any]:
        """Give each sample's answer, all of them in as few batches as may be."""
        answers = self._predictor.predict(samples)
        failed = [answer for answer in answers if isinstance(answer, RecordError)]
        assert not failed, failed[0]
        return answers

    def outputs(self, feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Run the session with the reference's own tensors."""
        return self.session.run(
            {
                name: np.asarray(array)
                for name, array in feeds.items()
                if name in self.session.inputs
            }
        )

    def close(self) -> None:
        self._models.close()
