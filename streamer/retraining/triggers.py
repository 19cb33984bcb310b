"""When is learnt anew."""

from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from streamer.deployments.intervals import difference_of_shares
from streamer.errors import ConfigError
from streamer.labels import Figures
from streamer.retraining.config import Trigger
from streamer.retraining.runs import Run

_LEAST_NEW = 50
_LEAST_LABELLED = 30
_SCALE = 0.05
_ALPHA = 0.05
_DIRECTIONS = 8
_DRIFT_ALPHA = 0.001
_LEAST_DRIFTED = 50


def due(  # noqa: PLR0913 - all that a trigger may look at
    trigger: Trigger,
    *,
    taken: int,
    last: Run | None,
    now_s: float,
    began_s: float,
    drop: Callable[[], str | None],
    drift: Callable[[], str | None],
) -> str | None:
    """Say why a run is due; None if none is.

    Args:
        trigger: the file's.
        taken: labels taken in so far.
        last: the last run.
        now_s: the time, seconds since the epoch.
        began_s: when the sidecar began, for the first run.
        drop: asks whether live accuracy has dropped.
        drift: asks whether inputs have drifted.
    """
    new = taken - (last.taken if last is not None else 0)
    if new <= 0:
        return None
    if trigger.labels is not None and new >= trigger.labels:
        return f"{new} new labels"
    before = datetime.fromisoformat(last.began).timestamp() if last is not None else began_s
    if trigger.every is not None and now_s - before >= trigger.every:
        return f"{now_s - before:.0f} s since the last run, and {new} new labels"
    if new < _LEAST_NEW:
        return None  # a run that changed nothing is not begun again with each label
    dropped_by = drop() if trigger.accuracy_drop else None
    return dropped_by or (drift() if trigger.drift else None)


def dropped(
    cohorts: Mapping[tuple[str, str, str, int], Figures], model: str, version: str
) -> str | None:
    """Say by how much a version is right less often than it was; None if that is not certain.

    Its labelled records of the random share are cut in two by time. The test may be looked at as
    often as one likes (a confidence sequence).
    """
    mine = sorted(
        (begins, figures)
        for (_, name, number, begins), figures in cohorts.items()
        if (name, number) == (model, version) and figures.random
    )
    total = sum(figures.random for _, figures in mine)
    earlier, later = Figures(), Figures()
    for _, figures in mine:
        fits = earlier.random + figures.random <= total / 2 or not earlier.random
        if fits and not later.random:
            earlier = earlier + figures
        else:
            later = later + figures
    if min(earlier.random, later.random) < _LEAST_LABELLED:
        return None
    found = difference_of_shares(
        (earlier.random_right, later.random_right),
        (earlier.random, later.random),
        _SCALE,
        _ALPHA,
    )
    if found.high >= 0:
        return None
    return (
        f"live accuracy of version {version} fell from {earlier.accuracy:.1%} to "
        f"{later.accuracy:.1%}, by {-found.high:.1%} at least"
    )


def drifted(reference: NDArray[np.float32], recent: NDArray[np.float32]) -> str | None:
    """Say along which direction recent features are not like those before; None if they are.

    The main directions of the reference (principal components), and the one in which the means of
    every other example are apart, looked for among the others. Each is tested by
    Kolmogorov-Smirnov, at a level that allows for their number (Bonferroni).

    Raises:
        ConfigError: scipy is not installed.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise ConfigError("trigger.drift needs scipy: pip install 'streamer[retrain]'") from error
    if min(len(reference), len(recent)) < _LEAST_DRIFTED:
        return None
    middle = reference.mean(axis=0)
    _, _, directions = np.linalg.svd(reference - middle, full_matrices=False)
    pairs = [
        (f"direction {number}", (reference - middle) @ one, (recent - middle) @ one)
        for number, one in enumerate(directions[:_DIRECTIONS], 1)
    ]
    pairs.append(("the difference of means", *_apart(reference, recent)))
    for name, before, now in pairs:
        found = stats.ks_2samp(before, now)
        if found.pvalue < _DRIFT_ALPHA / len(pairs):
            return (
                f"inputs have drifted: along {name} of their features the newest {len(recent)} "
                f"examples are apart by {found.statistic:.2f} (p {found.pvalue:.1g})"
            )
    return None


def _apart(
    reference: NDArray[np.float32], recent: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Look for a direction with one half of the examples, and give the other half along it."""
    spread = reference[::2].var(axis=0)
    shift = recent[::2].mean(axis=0) - reference[::2].mean(axis=0)
    direction = shift / (spread + spread.mean() + 1e-12)
    return reference[1::2] @ direction, recent[1::2] @ direction
