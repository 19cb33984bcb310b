"""Whether a challenger may take the champion's place: paired tests on held-out records.

Both answer the same records, so that only those count on which they differ. Records of one group
are drawn together (bootstrap over groups). Each look at a held-out set is paid for: the probability
of a false promotion is spent over all looks (alpha / k^2, which adds up to alpha), since who
retrains twenty times against one set promotes by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb, pi, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamer.retraining.config import Gate
from streamer.retraining.marks import Marks, OfClass

Decision = Literal["promote", "reject", "inconclusive"]
_DRAWS = 4000
_CHUNK = 250
_FLIPS = 20_000  # the twentieth look asks for a chance below 1 in 13,000
_DOUBT = 0.2
_POWER = 0.8416  # the normal distribution's quantile of 80%
_EXACT_UP_TO = 1000


@dataclass(frozen=True)
class Compared:
    """What both versions made of the held-out records, in one order.

    Attributes:
        truths: the right labels.
        champion: its answers; with the probability that it gave to the right label.
        challenger: the same.
        clusters: what is drawn together.
        known: labels that the champion knows.
    """

    truths: Sequence[str]
    champion: Sequence[str | None]
    challenger: Sequence[str | None]
    champion_p: NDArray[np.float64]
    challenger_p: NDArray[np.float64]
    clusters: Sequence[str]
    known: frozenset[str]

    def marks(self, metric: str) -> Marks:
        """Give the figures that are compared."""
        truths = np.array(self.truths, object)
        champion, challenger = (
            np.array([a == t for a, t in zip(given, self.truths, strict=True)], float)
            for given in (self.champion, self.challenger)
        )
        classes = {}
        for label in sorted(set(self.truths)):
            here = truths == label
            classes[label] = OfClass(int(here.sum()), champion[here], challenger[here])
        return Marks(
            metric=metric,
            gains=_gains(self, challenger - champion, metric),
            champion=champion,
            challenger=challenger,
            exact=True,
            clusters=self.clusters,
            old=np.array([label in self.known for label in self.truths], bool),
            classes=classes,
        )


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and why.

    Attributes:
        figures: what it was decided by.
    """

    decision: Decision
    reasons: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    def unless(self, problems: Sequence[str]) -> "Verdict":
        """Reject for further problems, if there are any."""
        if not problems:
            return self
        return Verdict("reject", (*problems, *self.reasons), self.figures)


def spent(alpha: float, look: int) -> float:
    """Give the part of alpha that the k-th look may use; all parts add up to alpha."""
    return alpha * 6 / (pi * look) ** 2


def judge(compared: Compared | Marks, gate: Gate, look: int, seed: int = 0) -> Verdict:
    """Compare a challenger with the champion.

    Args:
        compared: the answers of both, or figures of them.
        gate: what is asked.
        look: the how-many-eth look at these records this is, from 1.
        seed: of the bootstrap.
    """
    metric = "accuracy" if gate.metric == "auto" else gate.metric
    marks = compared.marks(metric) if isinstance(compared, Compared) else compared
    count = len(marks.gains)
    if count < gate.min_examples:
        told = f"too few held-out labels: {count}; {gate.min_examples} are asked for"
        return Verdict("inconclusive", (told,), {"examples": count})
    alpha = spent(gate.alpha, look)
    groups = _grouped(marks.gains, marks.clusters)
    low, high = _interval(groups, alpha, seed)
    old = marks.old
    figures: dict[str, Any] = {
        "metric": marks.metric,
        "examples": count,
        "groups": len(groups),
        "look": look,
        "alpha": alpha,
        "champion": float(marks.champion.mean()),
        "challenger": float(marks.challenger.mean()),
        "gain": float(marks.gains.mean()),
        "interval": [low, high],
        "detectable": _detectable(groups, gate.alpha),
        "classes": {label: _shown(one) for label, one in marks.classes.items()},
        "old_classes": None if old.all() or not old.any() else _shown(_old(marks)),
    }
    if not old.all() and old.sum() < gate.class_examples:
        told = (
            f"labels are new, and only {old.sum()} held-out records are of those known before "
            f"({gate.class_examples} are asked for): nothing shows that these are not forgotten"
        )
        return Verdict("inconclusive", (told,), figures)
    whole = marks.exact and marks.metric == "accuracy"  # won or lost, and nothing between
    chance = _sign_test(groups) if whole else _flip_test(groups, seed)
    return _decided(figures, gate, chance, _regressions(marks, gate))


def _decided(
    figures: dict[str, Any],
    gate: Gate,
    chance: float,
    regressions: list[str],
) -> Verdict:
    gain, (low, high), alpha = figures["gain"], figures["interval"], figures["alpha"]
    told = f"gain {_points(gain)}, {1 - 2 * alpha:.1%} interval {_points(low)} to {_points(high)}"
    if regressions:
        return Verdict("reject", (*regressions, told), figures)
    if gate.min_gain == 0:
        if low > -gate.margin:
            reason = f"{told}: not worse by more than the margin of {_points(gate.margin)}"
            return Verdict("promote", (reason,), figures)
        if high < -gate.margin:
            return Verdict("reject", (f"{told}: worse",), figures)
    else:
        if gain >= gate.min_gain and low > 0 and chance <= alpha:
            reason = f"{told}: better, by {_points(gate.min_gain)} at least"
            return Verdict("promote", (reason,), figures)
        if high < gate.min_gain:
            what = "worse" if high < 0 else f"a gain of {_points(gate.min_gain)} is ruled out"
            return Verdict("reject", (f"{told}: {what}",), figures)
    few = (
        f"{told}: these {figures['examples']} records cannot tell (a true difference of "
        f"{_points(figures['detectable'])} would be found four times in five)"
    )
    return Verdict("inconclusive", (few,), figures)


def _gains(compared: Compared, better: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Give by how much the challenger is better on each record."""
    if metric == "nll":
        least = 1e-12
        return np.log(np.maximum(compared.challenger_p, least)) - np.log(
            np.maximum(compared.champion_p, least)
        )
    if metric == "balanced_accuracy":
        names, places, counts = np.unique(
            np.array(compared.truths, str), return_inverse=True, return_counts=True
        )
        return better * len(better) / (len(names) * counts[places])
    return better


def _grouped(gains: NDArray[np.float64], clusters: Sequence[str]) -> NDArray[np.float64]:
    """Sum gains and count records by cluster: [groups, 2]."""
    _, places = np.unique(np.array(clusters, str), return_inverse=True)
    sums = np.bincount(places, weights=gains)
    return np.stack([sums, np.bincount(places).astype(float)], axis=1)


def _interval(groups: NDArray[np.float64], alpha: float, seed: int) -> tuple[float, float]:
    """Bound the mean gain on both sides, each false with probability alpha."""
    rng = np.random.default_rng(seed)
    # Groups of equal gain and size are drawn as one kind: the same draw, of far fewer numbers.
    kinds, counts = np.unique(groups, axis=0, return_counts=True)
    means = []
    for _ in range(0, _DRAWS, _CHUNK):
        drawn = rng.multinomial(len(groups), counts / len(groups), size=_CHUNK) @ kinds
        means.append(drawn[:, 0] / drawn[:, 1])
    found = np.concatenate(means)
    return float(np.quantile(found, alpha)), float(np.quantile(found, 1 - alpha))


def _sign_test(groups: NDArray[np.float64]) -> float:
    """Give the probability of so many groups won, if winning and losing were as probable.

    Exact where the bootstrap is not: with few groups on which the two differ.
    """
    won, lost = int((groups[:, 0] > 0).sum()), int((groups[:, 0] < 0).sum())
    return _tail(won, won + lost)


def _flip_test(groups: NDArray[np.float64], seed: int) -> float:
    """Give the probability of so large a sum of gains, were each as probable with its sign turned.

    The paired test by permutation, for gains that are no whole steps.
    """
    sums = groups[:, 0][groups[:, 0] != 0]
    if not len(sums):
        return 1.0
    rng = np.random.default_rng(seed)
    more = 0
    for _ in range(0, _FLIPS, _CHUNK):
        signs = rng.integers(0, 2, (_CHUNK, len(sums)), dtype=np.int8) * 2 - 1
        more += int((signs @ sums >= sums.sum()).sum())
    return (more + 1) / (_FLIPS + 1)


def _tail(wins: int, trials: int) -> float:
    """Give P(X >= wins) for X binomial with share 1/2."""
    if trials == 0:
        return 1.0
    if trials > _EXACT_UP_TO:
        from math import erfc

        return float(erfc((wins - 0.5 - trials / 2) / sqrt(trials / 4) / sqrt(2)) / 2)
    return float(sum(comb(trials, k) for k in range(wins, trials + 1)) / 2**trials)


def _detectable(groups: NDArray[np.float64], alpha: float) -> float:
    """Give the gain that such a set would find four times in five, at its first look."""
    means = groups[:, 0] / groups[:, 1]
    spread = max(float(means.std()), 1 / sqrt(len(groups)) / 10)
    return (_quantile(1 - spent(alpha, 1)) + _POWER) * spread / sqrt(len(groups))


def _quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _regressions(marks: Marks, gate: Gate) -> list[str]:
    """Name the classes that have suffered, and the old ones together where there are new ones."""
    found = []
    for label, one in marks.classes.items():
        if one.examples < gate.class_examples:
            continue
        if _surely_lost(one, gate.per_class_margin, exact=marks.exact):
            found.append(f"'{label}' {_fall(one)} (allowed: {_points(gate.per_class_margin)})")
    old = _old(marks)
    if 0 < old.examples < len(marks.gains) and _surely_lost(old, gate.margin, exact=marks.exact):
        told = "the classes that were known before"
        found.append(f"{told} {_fall(old, 'fall')} (allowed: {_points(gate.margin)})")
    return found


def _fall(one: OfClass, verb: str = "falls") -> str:
    return f"{verb} from {one.champion.mean():.1%} to {one.challenger.mean():.1%}"


def _surely_lost(one: OfClass, margin: float, *, exact: bool) -> bool:
    """Whether more is lost than is allowed, and chance is no good explanation."""
    away = one.champion - one.challenger
    if away.mean() <= margin:
        return False
    if exact:
        lost, won = int((away > 0).sum()), int((away < 0).sum())
        return _tail(lost, lost + won) <= _DOUBT
    return bool(away.mean() > _quantile(1 - _DOUBT) * away.std() / sqrt(len(away)))


def _old(marks: Marks) -> OfClass:
    here = marks.old
    return OfClass(int(here.sum()), marks.champion[here], marks.challenger[here])


def _shown(one: OfClass) -> dict[str, float]:
    return {
        "examples": one.examples,
        "champion": float(one.champion.mean()),
        "challenger": float(one.challenger.mean()),
    }


def _points(share: float) -> str:
    return f"{share * 100:+.1f} points" if share else "0 points"
