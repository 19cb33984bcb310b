from dataclasses import replace

import numpy as np
import pytest
from support.rollouts import Plan, Truth, simulated

from streamer.deployments.intervals import Moments
from streamer.deployments.rules import AccuracyRule, Arm, Evidence, Rules, judged

ACCURACY = AccuracyRule(margin=0.01, min_gain=0.01)


def share(rules: Rules, truths: tuple[Truth, Truth], plan: Plan, decision: str, runs: int) -> float:
    found = [simulated(rules, truths, plan, seed)[0] for seed in range(runs)]
    return found.count(decision) / runs


def test_without_a_true_difference_500_rollouts_decide_falsely_in_at_most_5_percent():
    rules = Rules(max_error_ratio=1, error_floor=0, max_latency_ratio=1, accuracy=ACCURACY)
    found = [simulated(rules, (Truth(), Truth()), Plan(), seed)[0] for seed in range(500)]
    assert found.count("promote") + found.count("rollback") <= 25


def test_the_same_looks_with_ordinary_intervals_would_decide_falsely_far_more_often():
    """What the test above can see: 1.96 standard errors at each look."""
    walks = np.cumsum(np.random.default_rng(0).normal(0, 1, (500, len(Plan().looks))), axis=1)
    spread = np.sqrt(np.arange(1, len(Plan().looks) + 1))
    assert (np.abs(walks) > 1.96 * spread).any(axis=1).mean() > 0.15


def test_a_candidate_at_the_limits_is_hardly_ever_promoted():
    rules = Rules(accuracy=AccuracyRule(margin=0.03))
    worse = Truth(errors=0.03, seconds=0.015, accuracy=0.77)
    assert share(rules, (Truth(), worse), Plan(), "promote", 100) <= 0.05


def test_an_equal_candidate_is_promoted_when_not_worse_is_enough():
    plan = Plan(share=0.5, looks=tuple(range(1_000, 81_000, 4_000)), labelled=0.5)
    rules = Rules(accuracy=AccuracyRule(margin=0.03))
    assert share(rules, (Truth(), Truth()), plan, "promote", 50) >= 0.9


@pytest.mark.parametrize(
    ("worse", "within"),
    [
        pytest.param(Truth(errors=1.0), 2_000, id="fails on everything"),
        pytest.param(Truth(errors=0.2), 4_000, id="fails on a fifth"),
        pytest.param(Truth(seconds=0.1), 4_000, id="ten times slower"),
        pytest.param(Truth(accuracy=0.3), 10_000, id="wrong answers"),
    ],
)
def test_a_broken_candidate_is_taken_back_after_few_records(worse, within):
    rules = Rules(accuracy=AccuracyRule())
    plan = Plan(looks=tuple(range(500, within + 1, 500)))
    assert share(rules, (Truth(errors=0.001), worse), plan, "rollback", 50) == 1


GOOD = Evidence(
    Arm(9_000, 9, Moments(900, -900, 918), 500, 450),
    Arm(2_000, 2, Moments(100, -100, 102), 500, 450),
    elapsed_s=60,
)
RULES = Rules(error_floor=0.01, accuracy=AccuracyRule(margin=0.15))


def test_a_good_candidate_is_promoted_and_every_rule_says_why():
    verdict = judged(RULES, GOOD)
    assert verdict.decision == "promote"
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["errors", "latency", "accuracy"]
    assert "2,000 records" in verdict.reasons[0]


def test_nothing_is_promoted_before_it_answered_enough():
    verdict = judged(RULES.model_copy(update={"min_samples": 3_000}), GOOD)
    assert verdict.decision == "wait"
    assert verdict.reasons == ("2,000 of 3,000 records (min_samples)",)


def test_nothing_is_decided_on_the_counts_of_some_daemons_only():
    broken = replace(GOOD, candidate=replace(GOOD.candidate, errors=1_000), unheard=("host-2",))
    assert judged(RULES, broken).decision == "wait"
    assert "host-2" in judged(RULES, broken).reasons[0]
    assert judged(RULES, replace(broken, unheard=())).decision == "rollback"


def test_too_few_labels_are_inconclusive_and_no_rejection():
    few = replace(GOOD, candidate=replace(GOOD.candidate, labelled=30, correct=5))
    assert judged(RULES, few).decision == "wait"
    verdict = judged(RULES, replace(few, elapsed_s=1800))
    assert verdict.decision == "inconclusive"
    assert verdict.reasons[1] == "accuracy: 30 of at least 50 labels"


def test_a_candidate_that_a_daemon_cannot_load_is_taken_back_at_once():
    verdict = judged(RULES, replace(GOOD, failures=("host-1: sha256 differs",), unheard=("a",)))
    assert (verdict.decision, verdict.reasons) == ("rollback", ("host-1: sha256 differs",))


def test_agreement_is_asked_for_where_both_answer():
    rules = RULES.model_copy(update={"min_agreement": 0.95})
    agreed = replace(GOOD, compared=1_000, agreed=990)
    assert judged(rules, agreed).decision == "promote"
    assert judged(rules, replace(agreed, agreed=800)).decision == "rollback"
    assert judged(rules, replace(agreed, compared=20, agreed=20)).decision == "wait"


def test_labels_of_records_that_both_answered_are_compared_in_pairs():
    rules = RULES.model_copy(update={"accuracy": AccuracyRule(margin=0.02)})
    pairs = replace(GOOD, paired=2_000, gains=20, losses=20)
    assert (
        judged(rules, GOOD).decision == "wait"
    )  # 500 labels a side, unpaired, can't tell 2 points
    assert judged(rules, pairs).decision == "promote"
    assert judged(rules, replace(pairs, losses=300)).decision == "rollback"


def test_few_runs_say_nothing_of_the_time_they_take():
    few = replace(GOOD, candidate=replace(GOOD.candidate, times=Moments(19, 99, 999)))
    verdict = judged(RULES, few)
    assert verdict.decision == "wait"
    assert verdict.reasons == ("latency: 19 of at least 20 runs of each",)


def test_rules_are_written_as_in_files():
    rules = Rules.model_validate({"max_time": "30m", "accuracy": {"margin": "2%"}})
    assert rules.max_time == 1800
    assert Rules.model_validate(rules.model_dump(mode="json")) == rules


def test_of_a_candidate_that_was_asked_nothing_no_share_is_told():
    verdict = judged(RULES, Evidence(Arm(100), Arm(), 10.0))
    assert verdict.decision == "wait"
    assert verdict.findings[0].text == "errors: the candidate has answered no record yet"
