"""The rules of a rollout: when a candidate is promoted or taken back, and why; no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf, log
from typing import Annotated, Literal

from pydantic import Field

from streamer.config.section import Section
from streamer.config.units import Duration, Share
from streamer.deployments.intervals import (
    Interval,
    Moments,
    difference_of_shares,
    paired_difference,
    ratio_interval,
    ratio_of_times,
    share_interval,
)

Decision = Literal["promote", "rollback", "wait", "inconclusive"]
State = Literal["good", "bad", "open"]

_LEAST_BATCHES = 20
_LEAST_LABELS = 50
_ACCURACY_SCALE = 0.05
_TIME_SCALE = log(1.5)


class AccuracyRule(Section):
    """What is asked of the candidate's accuracy, where records have labels."""

    margin: Share = 0.01
    """By so much less the candidate's accuracy may be, as a share of all records."""
    min_gain: Share | None = None
    """By so much more it must be to be promoted; left out: not worse by the margin is enough."""


class Rules(Section):
    """When a candidate is promoted or taken back without a person."""

    decide: Literal["all", "rollback", "nothing"] = "all"
    """What is decided without a person: promotion and rollback, rollback alone, or nothing."""
    min_samples: Annotated[int, Field(gt=0)] = 500
    """Records that the candidate has answered before it may be promoted."""
    max_time: Duration = 1800.0
    """After this long without a decision the verdict is `inconclusive`."""
    on_inconclusive: Literal["rollback", "keep"] = "rollback"
    """What becomes of the candidate then: it is taken off the records (it stays in the registry),
    or goes on until a person decides."""
    max_error_ratio: Annotated[float, Field(ge=1)] = 1.5
    """The candidate may fail on so many times more of its records than the champion does."""
    error_floor: Share = 0.005
    """Failing on fewer of its records than this never speaks against it."""
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = 1.5
    """The candidate's runs may take so many times longer an item."""
    min_agreement: Share | None = None
    """In a shadow: share of records on which its answer is at least to be the champion's."""
    accuracy: AccuracyRule | None = None
    """What is asked of its accuracy, where labels come."""
    false_decisions: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """How often a decision against the truth is accepted, all looks and rules together."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one version did in a rollout, summed over the fleet.

    Attributes:
        records: it was asked about so many.
        errors: of them it failed on so many.
        times: moments of the logarithm of seconds an item, of the runs that are compared.
        labelled: records with a label.
        correct: of them answered as the label says.
    """

    records: int = 0
    errors: int = 0
    times: Moments = field(default_factory=Moments)
    labelled: int = 0
    correct: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a rollout at a look.

    Attributes:
        elapsed_s: since the rollout began.
        failures: what kept daemons from putting the candidate to work at all.
        unheard: live daemons that have not told their counts yet.
        compared: records that both answered (a shadow's).
        agreed: of them answered alike.
        paired: labelled records that both answered.
        gains: of them the candidate alone was right about.
        losses: of them the champion alone was right about.
    """

    champion: Arm
    candidate: Arm
    elapsed_s: float
    failures: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    compared: int = 0
    agreed: int = 0
    paired: int = 0
    gains: int = 0
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says: whether it is kept, broken or still open, and the figures in words."""

    rule: str
    state: State
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done, and why, in words."""

    decision: Decision
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def judged(rules: Rules, evidence: Evidence) -> Verdict:
    """Decide by the rules on what is known.

    Each rule has an interval that stays true however often it is looked at (`intervals`). A rule is
    broken when all of its interval lies beyond the limit, and one broken rule takes the candidate
    back; it is kept when all of it lies within, and only when every rule is kept is the candidate
    promoted. The accepted share of false decisions is split among the intervals (Bonferroni), so
    that it holds for all of them together.
    """
    if evidence.failures:
        return Verdict("rollback", evidence.failures)
    if evidence.unheard:
        told = ", ".join(evidence.unheard)
        return _late(rules, evidence, (), (f"no counts yet from {told}",))
    findings = tuple(_findings(rules, evidence))
    broken = tuple(found.text for found in findings if found.state == "bad")
    if broken:
        return Verdict("rollback", broken, findings)
    waiting = [found.text for found in findings if found.state == "open"]
    if evidence.candidate.records < rules.min_samples:
        few = f"{evidence.candidate.records:,} of {rules.min_samples:,} records (min_samples)"
        waiting.insert(0, few)
    if waiting:
        return _late(rules, evidence, findings, tuple(waiting))
    return Verdict("promote", tuple(found.text for found in findings), findings)


def _late(
    rules: Rules, evidence: Evidence, findings: tuple[Finding, ...], waiting: tuple[str, ...]
) -> Verdict:
    if evidence.elapsed_s < rules.max_time:
        return Verdict("wait", waiting, findings)
    late = f"not decided within {rules.max_time:,.0f} s (max_time)"
    return Verdict("inconclusive", (late, *waiting), findings)


def _findings(rules: Rules, evidence: Evidence) -> Iterator[Finding]:
    optional = (rules.max_latency_ratio, rules.min_agreement, rules.accuracy)
    alpha = rules.false_decisions / (2 + sum(rule is not None for rule in optional))
    yield _errors(rules, evidence, alpha)
    if rules.max_latency_ratio is not None:
        yield _latency(rules.max_latency_ratio, evidence, alpha)
    if rules.min_agreement is not None:
        yield _agreement(rules.min_agreement, evidence, alpha)
    if rules.accuracy is not None:
        yield _accuracy(rules.accuracy, evidence, alpha)


def _errors(rules: Rules, evidence: Evidence, alpha: float) -> Finding:
    """Compare how often both fail; two intervals, for the ratio and for the candidate's share."""
    one, two = evidence.champion, evidence.candidate
    if not two.records:
        return Finding("errors", "open", "errors: the candidate has answered no record yet")
    share = share_interval(two.errors, two.records, alpha)
    ratio = ratio_interval((one.errors, two.errors), (one.records, two.records), alpha)
    state: State = "open"
    if share.low > rules.error_floor and ratio.low > rules.max_error_ratio:
        state = "bad"
    elif share.high < rules.error_floor or ratio.high < rules.max_error_ratio:
        state = "good"
    text = (
        f"errors: the candidate fails on {_percent(share)} of {two.records:,} records, "
        f"the champion on {one.errors / max(one.records, 1):.2%} of {one.records:,}: "
        f"{_times(ratio)} as often (max_error_ratio {rules.max_error_ratio:g}, "
        f"error_floor {rules.error_floor:.2%})"
    )
    return Finding("errors", state, text)


def _latency(limit: float, evidence: Evidence, alpha: float) -> Finding:
    first, second = evidence.champion.times, evidence.candidate.times
    fewest = min(first.count, second.count)
    if fewest < _LEAST_BATCHES:
        text = f"latency: {fewest:,} of at least {_LEAST_BATCHES} runs of each"
        return Finding("latency", "open", text)
    ratio = ratio_of_times(first, second, _TIME_SCALE, alpha)
    text = (
        f"latency: the candidate takes {_times(ratio)} as long an item, "
        f"{second.count:,} runs against {first.count:,} (max_latency_ratio {limit:g})"
    )
    return Finding("latency", _state(bad=ratio.low > limit, good=ratio.high < limit), text)


def _agreement(limit: float, evidence: Evidence, alpha: float) -> Finding:
    share = share_interval(evidence.agreed, evidence.compared, alpha)
    text = (
        f"agreement: the same answer on {_percent(share)} of {evidence.compared:,} records "
        f"(min_agreement {limit:.1%})"
    )
    return Finding("agreement", _state(bad=share.high < limit, good=share.low > limit), text)


def _accuracy(rule: AccuracyRule, evidence: Evidence, alpha: float) -> Finding:
    one, two = evidence.champion, evidence.candidate
    if evidence.paired:
        fewest = evidence.paired
        gain = paired_difference(
            evidence.gains, evidence.losses, evidence.paired, _ACCURACY_SCALE, alpha
        )
    else:
        fewest = min(one.labelled, two.labelled)
        gain = difference_of_shares(
            (one.correct, two.correct), (one.labelled, two.labelled), _ACCURACY_SCALE, alpha
        )
    if fewest < _LEAST_LABELS:
        text = f"accuracy: {fewest:,} of at least {_LEAST_LABELS} labels"
        return Finding("accuracy", "open", text)
    least = -rule.margin if rule.min_gain is None else rule.min_gain
    asked = (
        f"margin {rule.margin:.1%}" if rule.min_gain is None else f"min_gain {rule.min_gain:.1%}"
    )
    reach = (gain.high - gain.low) / 2
    text = (
        f"accuracy: {gain.guess:+.1%} ({gain.low:+.1%} to {gain.high:+.1%}) by {fewest:,} labels "
        f"({asked}; a difference of {reach:.1%} would be seen by now)"
    )
    return Finding("accuracy", _state(bad=gain.high < -rule.margin, good=gain.low > least), text)


def _state(*, bad: bool, good: bool) -> State:
    return "bad" if bad else "good" if good else "open"


def _percent(share: Interval) -> str:
    return f"{share.guess:.2%} ({share.low:.2%} to {share.high:.2%})"


def _times(ratio: Interval) -> str:
    high = "?" if ratio.high == inf else f"{ratio.high:.3g}"
    return f"{ratio.guess:.3g} ({ratio.low:.3g} to {high}) times"
