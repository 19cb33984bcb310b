"""What came of learning, and how it is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score

from streamer.graphs.head import Head
from streamer.models import Version
from streamer.retraining.config import Gate, Strategy, Training
from streamer.retraining.features import as_rows, computed_features
from streamer.retraining.grading import graded
from streamer.retraining.learner import Learner
from streamer.retraining.lesson import Lesson
from streamer.retraining.marks import Marks
from streamer.retraining.runner import Runner
from streamer.retraining.trial import answers, published, tried
from streamer.retraining.truth import form_of
from streamer.retraining.tuning.course import Course

REPEATS = 5
"""How often examples are divided anew where there are few."""
_GATE = Gate(records="all", max_latency_ratio=1e9, max_size_ratio=1e9)
Row = dict[str, str]


def learnt(lesson: Lesson, champion: Version, folder: Path, strategy: Strategy) -> float:
    """Learn, and give the metric of what came of it on the held-out side."""
    challenger = Learner(strategy, 1).learn(lesson, champion, folder, lambda: None).version
    trial = tried(champion, challenger, lesson.sides["test"], _GATE, threads=1, beside=folder)
    if isinstance(trial.compared, Marks):
        return float(trial.compared.challenger.mean())
    return float(accuracy_score(lesson.sides["test"].truths, trial.challenger.labels))


def epochs_of(lesson: Lesson, training: Training) -> int:
    """Give how often an example is seen at the most: the budget of both sides."""
    return Course.of(training, len(lesson.sides["train"].examples)).epochs


def judged(version: Version, lesson: Lesson) -> float:
    """Give the metric of a version on the held-out side."""
    part, form = lesson.sides["test"], form_of(version.manifest)
    with Runner(version, threads=1) as runner:
        if form == "label":
            found = answers(runner, version, part.samples, part.truths)
            return float(accuracy_score(part.truths, found.labels))
        given = published(runner, version, part.samples, form)
    clusters = [one.cluster for one in part.examples]
    marks = graded(form, part.answers, (given, given), clusters, frozenset())
    return float(marks.champion.mean())


def features(version: Version, samples: Sequence[Any], head: Head, folder: Path) -> Any:
    """Give what a version's head works on."""
    return as_rows(computed_features(version, head, samples, folder / "f", threads=1))


def row(  # noqa: PLR0913, PLR0917 - the cells of a row
    strategy: str, what: str, lesson: Lesson, ours: float, reference: float, named: str
) -> Row:
    """Give a row of the table."""
    counts = {side: len(part.examples) for side, part in lesson.sides.items()}
    learnt_from = counts["train"] + counts["validation"]
    return {
        "strategy": strategy,
        "what": what,
        "examples": f"{learnt_from:,} / {counts['test']:,}",
        "ours": f"{ours:.4f}",
        "reference": f"{reference:.4f} ({named})",
        "difference": f"{100 * (ours - reference):+.2f} points",
    }


def folds(  # noqa: PLR0913, PLR0917 - the cells of a row
    strategy: str,
    what: str,
    count: int,
    ours: Sequence[float],
    reference: Sequence[float],
    named: str,
) -> Row:
    """Give a row of repeated folds, with the interval of the paired difference.

    The variance is corrected for folds that share examples (C. Nadeau, Y. Bengio 2003).
    """
    from scipy.stats import t

    apart = np.array(ours) - np.array(reference)
    folds = len(apart) // REPEATS
    spread = np.sqrt(apart.var(ddof=1) * (1 / len(apart) + 1 / (folds - 1)))
    reach = float(t.ppf(0.975, len(apart) - 1) * spread)
    mean = float(apart.mean())
    return {
        "strategy": strategy,
        "what": f"{what}; {REPEATS} x {folds} folds",
        "examples": f"{count:,}",
        "ours": f"{np.mean(ours):.4f}",
        "reference": f"{np.mean(reference):.4f} ({named})",
        "difference": f"{100 * mean:+.2f} ({100 * (mean - reach):+.2f} to "
        f"{100 * (mean + reach):+.2f}) points",
    }
