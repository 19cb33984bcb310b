"""Rollouts simulated: how often, and after how many records, the rules decide.

`PYTHONPATH=tests python -m support.rollouts` prints the table of docs/rollouts.md.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamer.deployments.intervals import Moments
from streamer.deployments.rules import AccuracyRule, Arm, Evidence, Rules, judged


@dataclass(frozen=True)
class Truth:
    """How a version really is."""

    errors: float = 0.02
    seconds: float = 0.01
    accuracy: float = 0.8


@dataclass(frozen=True)
class Plan:
    """How a simulated rollout goes: looks at these totals of records."""

    share: float = 0.1
    looks: tuple[int, ...] = tuple(range(500, 40_500, 800))
    labelled: float = 0.2


def _times(truth: Truth, runs: int, random: np.random.Generator) -> Moments:
    logs = np.log(truth.seconds) + random.normal(0, 0.3, runs)
    return Moments(runs, float(logs.sum()), float((logs**2).sum()))


def _grown(arm: Arm, truth: Truth, records: int, plan: Plan, random: np.random.Generator) -> Arm:
    labelled = int(random.binomial(records, plan.labelled))
    return Arm(
        arm.records + records,
        arm.errors + int(random.binomial(records, truth.errors)),
        arm.times + _times(truth, max(records // 8, 1), random),
        arm.labelled + labelled,
        arm.correct + int(random.binomial(labelled, truth.accuracy)),
    )


def simulated(rules: Rules, truths: tuple[Truth, Truth], plan: Plan, seed: int) -> tuple[str, int]:
    """Run a rollout until something is decided; gives the decision and the records it took."""
    random = np.random.default_rng(seed)
    arms = [Arm(), Arm()]
    for before, total in pairwise((0, *plan.looks)):
        ours = int(random.binomial(total - before, plan.share))
        parts = (total - before - ours, ours)
        arms = [_grown(*given, plan, random) for given in zip(arms, truths, parts, strict=True)]
        decision = judged(rules, Evidence(arms[0], arms[1], elapsed_s=1.0)).decision
        if decision != "wait":
            return decision, total
    return "wait", plan.looks[-1]


def table() -> None:
    """Print, case by case, what was decided in 100 rollouts and after how many records."""
    cases = {
        "no difference": Truth(errors=0.001),
        "fails on 2 %": Truth(errors=0.02),
        "fails on 20 %": Truth(errors=0.2),
        "fails on all": Truth(errors=1.0),
        "1.6 times slower": Truth(errors=0.001, seconds=0.016),
        "2 times slower": Truth(errors=0.001, seconds=0.02),
        "10 times slower": Truth(errors=0.001, seconds=0.1),
        "accuracy - 2 points": Truth(errors=0.001, accuracy=0.78),
        "accuracy - 5 points": Truth(errors=0.001, accuracy=0.75),
        "accuracy - 10 points": Truth(errors=0.001, accuracy=0.7),
        "accuracy - 50 points": Truth(errors=0.001, accuracy=0.3),
    }
    looks = tuple(int(100 * 1.05**power) for power in range(150))
    plan = Plan(looks=looks, labelled=0.1)
    rules = {False: Rules(), True: Rules(accuracy=AccuracyRule())}
    for name, truth in cases.items():
        asked = rules["accuracy" in name]
        found = [simulated(asked, (Truth(errors=0.001), truth), plan, seed) for seed in range(100)]
        counts = {d: sum(one == d for one, _ in found) for d in ("promote", "rollback", "wait")}
        half, most = np.percentile([plan.share * total for _, total in found], [50, 90])
        print(f"| {name} | {counts} | {half:,.0f} | {most:,.0f} |")  # noqa: T201 - a script


if __name__ == "__main__":
    table()
