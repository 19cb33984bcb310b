"""The strategy `calibrate`: probabilities that mean what they say, and answers that stay."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import find_head
from streamer.graphs.headed import with_head
from streamer.models import Version
from streamer.retraining.challenger import Challenger, successor
from streamer.retraining.examples import Side
from streamer.retraining.features import Features, as_rows
from streamer.retraining.fitting import Linear, fit_temperature
from streamer.retraining.heads import compared, enough, numbers, output_of
from streamer.retraining.lesson import Lesson
from streamer.retraining.truth import form_of

_COMPARED = 64


class Calibration:
    """Divides a version's logits by one number.

    Args:
        features: computes what heads work on.
        threads: CPU threads.
    """

    def __init__(self, features: Features, threads: int) -> None:
        self._features = features
        self._threads = threads

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of it.
        """
        if form_of(version.manifest) != "label":
            raise ConfigError(
                "strategy.kind: calibrate is for classifiers with one label; "
                f"{version.manifest.name} is for {version.manifest.task} with "
                f"problem_type: {version.manifest.problem_type}"
            )
        name, after = output_of(version.manifest)
        try:
            head = find_head(version.file, name)
        except ModelError as error:
            raise ConfigError(f"strategy.kind: calibrate: {error}") from error
        if head.weights is None:
            raise ConfigError(
                f"strategy.kind: calibrate scales the last matrix product, and {version.file} does "
                "not hold it as plain numbers"
            )
        by = after if after != "none" else "the manifest"
        return f"a temperature on '{name}'; probabilities by {by}"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""
        enough(lesson, "label")
        name, after = output_of(champion.manifest)
        head = find_head(champion.file, name)
        part = lesson.sides["validation"]
        side: Side = "validation" if part.examples else "train"
        part = lesson.sides[side]
        rows = as_rows(self._features.of(champion, head, part, check, folder))
        weights, bias = numbers(head)
        targets = np.array(lesson.indices(side), np.int64)
        # labels that are new have no score to scale
        there = np.isfinite(rows).all(axis=1) & (targets < len(bias))
        logits = Linear(weights, bias).logits(rows[there].astype(np.float64))
        found = fit_temperature(logits, targets[there])
        scaled = Linear(weights / found, bias / found)
        old = lesson.labels[: lesson.old]
        layers = [(scaled.weights, scaled.bias)]
        version = successor(
            champion,
            folder,
            old,
            lambda file: with_head(champion.file, head, layers, file, after=after),
        )
        parity = compared(
            version,
            champion,
            head,
            scaled,
            part.samples[:_COMPARED],
            after=after,
            threads=self._threads,
        )
        text = f"its logits divided by {found:.3f}"
        return Challenger(version, parity, ({"temperature": found},), text)
