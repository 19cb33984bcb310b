"""The strategies by which a version becomes a better one, behind one door."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import find_head
from streamer.models import Version
from streamer.records import Image
from streamer.retraining.calibration import Calibration
from streamer.retraining.challenger import TRAINABLE, Challenger, TooLittleError
from streamer.retraining.config import Strategy
from streamer.retraining.features import Features
from streamer.retraining.heads import NewHead, output_of
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.place import Place
from streamer.retraining.projection import Projection
from streamer.retraining.truth import WEIGHABLE, form_of
from streamer.retraining.tuning import Tuning

_TORCH = ("finetune", "from-scratch", "embedding")
_EVEN = ("calibrate", "embedding")
_THUMBNAIL = 8


class Way(Protocol):
    """One strategy."""

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version; raise ConfigError if it can't be had."""

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""


class Learner:
    """Makes challengers of a version.

    Args:
        strategy: how.
        threads: CPU threads that it may use.
        gpu_memory: share of a GPU's memory that it may use.
        place: where a run that was killed finds how far it was.
        tells: told the share that is learnt, where that takes long.
    """

    def __init__(
        self,
        strategy: Strategy,
        threads: int,
        *,
        gpu_memory: float = 0.5,
        place: Place | None = None,
        tells: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._tells = tells
        self._gpu_memory = gpu_memory
        self._place = place
        self._strategy = strategy
        self._threads = threads
        self._features = Features(threads)

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of this version.
        """
        weighs = self._strategy.class_weight == "balanced"
        if weighs and (form_of(version.manifest) not in WEIGHABLE or self._strategy.kind in _EVEN):
            raise ConfigError(
                "strategy.class_weight: balanced is for classifiers with one label, and for "
                f"tokens; not for {self._strategy.kind} of {version.manifest.task}: leave it out"
            )
        return self._way(version).check(version)

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger.

        Args:
            lesson: what is learnt from.
            champion: what it is made of.
            folder: where its files go; must not exist.
            check: called now and then; raises to end the work.

        Raises:
            ConfigError: there is too little to learn from.
            ModelError: its file does not compute what was learnt.
        """
        return self._way(champion).learn(lesson, champion, folder, check)

    def featured(
        self, version: Version, part: Part, check: Callable[[], None]
    ) -> NDArray[np.float32]:
        """Compute a row for each sample, by which drift shows: of a head's features if it has one.

        Samples that cannot be answered are left out.
        """
        with tempfile.TemporaryDirectory(prefix="streamer-retrain-") as folder:
            place = Path(folder) / "features"
            try:
                name = output_of(version.manifest)[0]
                head = find_head(version.file, name, self._strategy.features)
            except (ConfigError, ModelError):
                return _thumbnails(part)
            found = self._features.of(version, head, part, check, place)
        rows = [one[0].reshape(-1, one[0].shape[-1]).mean(axis=0) for one in found if one]
        return np.stack(
            [row for row in rows if np.isfinite(row).all()] or [np.zeros(1, np.float32)]
        )

    def _way(self, version: Version) -> Way:
        kind, manifest = self._strategy.kind, version.manifest
        if kind in _TORCH:
            return Tuning(self._strategy, self._threads, self._gpu_memory, self._place, self._tells)
        if kind == "calibrate":
            return Calibration(self._features, self._threads)
        form = form_of(manifest)
        if form == "score":
            return Projection(self._strategy, self._features, self._threads)
        if form == "boxes":
            raise ConfigError(
                f"strategy.kind: {kind}: a detector's heads are part of its network: write "
                f"finetune, with {TRAINABLE}/ in the version"
            )
        return NewHead(self._strategy, self._features, self._threads)


def _thumbnails(part: Part) -> NDArray[np.float32]:
    """Give pictures as few numbers, for models without features to look at."""
    rows = [
        cv2.resize(one.pixels, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).reshape(-1)
        for one in part.samples
        if isinstance(one, Image)
    ]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 1), np.float32)


__all__ = ["Challenger", "Learner", "TooLittleError"]
