"""The strategy `calibrate`: probabilities that mean what they say.

Where one label holds the answers stay as they are. Where several may, the score from which a label
is answered is chosen, too: for the highest F1 of all labels together.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import find_head
from streamer.graphs.headed import with_head
from streamer.models import Version
from streamer.retraining.challenger import Challenger, successor
from streamer.retraining.examples import Side
from streamer.retraining.features import Features, as_rows
from streamer.retraining.fitting import fit_temperature
from streamer.retraining.heads import (
    compared,
    enough,
    numbers,
    output_of,
    probabilities,
    several,
)
from streamer.retraining.lesson import Lesson
from streamer.retraining.linear import Linear
from streamer.retraining.truth import Form, form_of

_COMPARED = 64
_FORMS = ("label", "labels")


class Calibration:
    """Divides a version's logits by one number, and finds from where labels are answered.

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
        form = form_of(version.manifest)
        if form not in _FORMS:
            raise ConfigError(
                "strategy.kind: calibrate is for classifiers of pictures and texts; "
                f"{version.manifest.name} is for {version.manifest.task}"
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
        more = " and the lowest score that is answered" if form == "labels" else ""
        return f"a temperature on '{name}'{more}; probabilities by {by}"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""
        form = form_of(champion.manifest)
        enough(lesson, form)
        name, after = output_of(champion.manifest)
        head = find_head(champion.file, name)
        side: Side = "validation" if lesson.sides["validation"].examples else "train"
        part = lesson.sides[side]
        rows = as_rows(self._features.of(champion, head, part, check, folder))
        weights, bias = numbers(head)
        there, targets = _targets(lesson, side, form, len(bias))
        there &= np.isfinite(rows).all(axis=1)
        logits = Linear(weights, bias).logits(rows[there].astype(np.float64))
        found = fit_temperature(logits, targets[there])
        scaled = Linear(weights / found, bias / found)
        layers = [(scaled.weights, scaled.bias)]
        answered: dict[str, float] = {}
        if form == "labels" and targets[there].any():
            chances = probabilities(logits / found, "sigmoid")
            answered["threshold"] = best_threshold(chances, targets[there])
        version = successor(
            champion,
            folder,
            lesson.labels[: lesson.old],
            lambda file: with_head(champion.file, head, layers, file, after=after),
            answered,
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
        if answered:
            text += f", labels answered from {answered['threshold']:.2f} on"
        return Challenger(version, parity, ({"temperature": found, **answered},), text)


def _targets(
    lesson: Lesson, side: Side, form: Form, labels: int
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Give which examples have a score to scale, as new labels have none; and what is right."""
    part = lesson.sides[side]
    if form == "labels":
        return np.ones(len(part.examples), bool), several(part, lesson.labels)[:, :labels]
    targets = np.array(lesson.indices(side), np.int64)
    return targets < labels, targets


def best_threshold(chances: NDArray[np.float64], held: NDArray[Any]) -> float:
    """Find the score from which labels are answered, for the highest F1 of all together.

    Args:
        chances: [n, labels].
        held: [n, labels], 1 where a label holds.

    Returns:
        The middle between the last score that is answered and the next one.
    """
    order = np.argsort(-chances, axis=None, kind="stable")
    scores = np.append(chances.reshape(-1)[order], 0.0)
    hits = np.cumsum(held.reshape(-1)[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + held.sum())
    f1[scores[:-1] == scores[1:]] = 0.0  # equal scores are answered together
    best = int(f1.argmax())
    return float(scores[best : best + 2].mean())
