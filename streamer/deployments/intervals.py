"""Confidence sequences: intervals that stay true however often they are looked at.

A 95% interval of the usual kind, looked at again and again until it says something, says something
false far more often than one time in twenty. A confidence sequence covers the truth at all looks
together with the stated probability, so whoever watches a rollout may stop at any moment.

All come from one argument: a likelihood ratio mixed over alternatives is a martingale where the
truth lies, and by Ville's inequality it ever exceeds 1/alpha with probability alpha at the most
(J. Ville 1939; H. Robbins 1970, "Statistical methods related to the law of the iterated
logarithm"; S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon 2021, "Time-uniform, nonparametric,
nonasymptotic confidence sequences"). The interval holds what the ratio has not excluded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, lgamma, log, sqrt

_PRIOR = 0.5
"""Jeffreys' mixture, Beta(1/2, 1/2): nearly as tight near 0 and 1 as in the middle."""
_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class Interval:
    """What is not excluded, and the best guess within it."""

    low: float
    guess: float
    high: float


@dataclass(frozen=True, slots=True)
class Moments:
    """How many values there were, their sum and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        """Their mean."""
        return self.total / self.count

    @property
    def variance_of_mean(self) -> float:
        """How far the mean may be off, squared."""
        spread = max(self.squares - self.total**2 / self.count, 0.0) / max(self.count - 1, 1)
        return max(spread, 1e-12) / self.count


def share_interval(hits: int, trials: int, alpha: float) -> Interval:
    """Bound a share by hits among trials.

    The beta-binomial mixture martingale: M(q) = B(a + x, b + n - x) / B(a, b) / q^x (1 - q)^(n - x)
    (Robbins 1970; T. L. Lai 1976, "On confidence sequences"). Exact for every number of trials.
    """
    if trials == 0:
        return Interval(0.0, 0.5, 1.0)
    misses = trials - hits
    mixed = _log_beta(_PRIOR + hits, _PRIOR + misses) - _log_beta(_PRIOR, _PRIOR)

    def excluded(share: float) -> bool:
        likelihood = (hits * log(share) if hits else 0.0) + (
            misses * log(1 - share) if misses else 0.0
        )
        return mixed - likelihood >= -log(alpha)

    guess = hits / trials
    low = _edge(excluded, guess, 0.0) if hits else 0.0
    high = _edge(excluded, guess, 1.0) if misses else 1.0
    return Interval(low, guess, high)


def ratio_interval(hits: tuple[int, int], trials: tuple[int, int], alpha: float) -> Interval:
    """Bound the ratio of two rates, the second by the first, of events that are not frequent.

    Given all events so far, the second side's part of them is binomial, its share set by the ratio
    and by how much each side was exposed (the conditional test of two Poisson rates:
    J. Przyborowski and H. Wilenski 1940); the share's confidence sequence gives the ratio's. Where
    events are frequent the part varies less than a binomial does: the interval is too wide then.
    """
    if min(trials) == 0:
        return Interval(0.0, 1.0, inf)
    share = share_interval(hits[1], hits[0] + hits[1], alpha)
    exposure = trials[0] / trials[1]

    def ratio(part: float) -> float:
        return inf if part >= 1 else exposure * part / (1 - part)

    guess = ratio(share.guess) if sum(hits) else 1.0
    return Interval(ratio(share.low), guess, ratio(share.high))


def mean_interval(guess: float, variance: float, scale: float, alpha: float) -> Interval:
    """Bound a mean whose estimate is normal with this variance.

    The normal mixture, or mSPRT: L = sqrt(V / (V + t^2)) exp(t^2 d^2 / (2 V (V + t^2))), with t the
    scale of effects that matter (Robbins 1970; R. Johari, P. Koomen, L. Pekelis, D. Walsh 2022,
    "Always valid inference"). With an estimated variance it holds asymptotically, uniformly in
    time (I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy, A. Ramdas 2024, "Time-uniform central
    limit theory and asymptotic confidence sequences").
    """
    mixed = variance + scale**2
    reach = sqrt(2 * variance * mixed / scale**2 * log(sqrt(mixed / variance) / alpha))
    return Interval(guess - reach, guess, guess + reach)


def difference_of_shares(
    hits: tuple[int, int], trials: tuple[int, int], scale: float, alpha: float
) -> Interval:
    """Bound by how much the second share exceeds the first, on different trials.

    The variance takes one more hit and one more miss on each side, so that a share of 0 or 1 does
    not look certain (A. Agresti, B. Caffo 2000).
    """
    if min(trials) == 0:
        return Interval(-1.0, 0.0, 1.0)
    variance = 0.0
    for hit, trial in zip(hits, trials, strict=True):
        share = (hit + 1) / (trial + 2)
        variance += share * (1 - share) / trial
    guess = hits[1] / trials[1] - hits[0] / trials[0]
    return mean_interval(guess, variance, scale, alpha)


def paired_difference(gains: int, losses: int, trials: int, scale: float, alpha: float) -> Interval:
    """Bound by how much one version is right more often than the other on the same records.

    Args:
        gains: records that only the second was right about.
        losses: records that only the first was right about.
        trials: all records.
        scale: the difference that matters.
        alpha: how often the interval may be false.
    """
    if trials == 0:
        return Interval(-1.0, 0.0, 1.0)
    guess = (gains - losses) / trials
    variance = ((gains + losses + 2) / (trials + 2) - guess**2) / trials
    return mean_interval(guess, max(variance, 1e-12), scale, alpha)


def ratio_of_times(first: Moments, second: Moments, scale: float, alpha: float) -> Interval:
    """Bound the ratio of two geometric means of times.

    Args:
        first: moments of the logarithms of times.
        second: the same of the other side.
        scale: the logarithm of a ratio that matters.
        alpha: how often the interval may be false.
    """
    if min(first.count, second.count) == 0:
        return Interval(0.0, 1.0, inf)
    variance = first.variance_of_mean + second.variance_of_mean
    found = mean_interval(second.mean - first.mean, variance, scale, alpha)
    return Interval(exp(found.low), exp(found.guess), exp(found.high))


def _log_beta(one: float, other: float) -> float:
    return lgamma(one) + lgamma(other) - lgamma(one + other)


def _edge(excluded: Callable[[float], bool], inside: float, outside: float) -> float:
    """Find where what is not excluded ends, between a point inside and one that is out."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        if excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside
