import pytest
from support.items import record

from streamer.deployments.counts import ArmCounts, Counts, Poll, comparison, labelled
from streamer.deployments.deployment import Deployment
from streamer.deployments.intervals import Moments
from streamer.deployments.rules import Rules, judged


def counts(daemon: str, **changed) -> Counts:
    arms = {
        "champion": ArmCounts(records=900, errors=1, times=(90, -400.0, 1790.0)),
        "candidate": ArmCounts(records=100, errors=90, times=(10, -44.0, 195.0)),
    }
    return Counts(**{"daemon": daemon, "model": "mood", "rollout": "r1", **arms, **changed})


def noted(*given: Counts) -> Poll:
    poll = Poll()
    for at, one in enumerate(given):
        poll.note(record(at, key=one.key, value=one.model_dump_json().encode()))
    return poll


def test_the_fleets_counts_are_summed_and_the_last_of_each_daemon_stands():
    poll = noted(counts("a", candidate=ArmCounts(records=5)), counts("a"), counts("b", agreed=3))
    found = poll.evidence("mood", "r1", ["a", "b"], 60)
    assert (found.champion.records, found.candidate.records) == (1800, 200)
    assert found.champion.times == Moments(180, -800.0, 3580.0)
    assert (found.agreed, found.unheard, found.failures) == (3, (), ())


def test_a_living_daemon_that_told_nothing_keeps_everything_from_being_decided():
    found = noted(counts("a")).evidence("mood", "r1", ["a", "b"], 60)
    assert found.unheard == ("b",)
    assert judged(Rules(), found).decision == "wait"
    heard = noted(counts("a"), counts("b")).evidence("mood", "r1", ["a", "b"], 60)
    assert judged(Rules(), heard).decision == "rollback"


def test_what_a_dead_daemon_counted_still_counts_but_not_why_it_failed():
    poll = noted(counts("a"), counts("gone", failed="no memory"))
    found = poll.evidence("mood", "r1", ["a"], 60)
    assert (found.candidate.records, found.failures) == (200, ())
    assert poll.evidence("mood", "r1", ["a", "gone"], 60).failures == ("gone: no memory",)


def test_counts_of_another_rollout_or_model_are_apart():
    poll = noted(counts("a"), counts("a", rollout="r2"), counts("a", model="other"))
    assert poll.evidence("mood", "r2", ["a"], 1).candidate.records == 100
    poll.note(record(9, value=b'{"kind": "report", "daemon": "a"}'))
    poll.note(record(10, value=None))
    poll.note(record(11, value=b'"counts"'))
    assert len(poll.of("mood", "r1")) == 1


def test_figures_for_people():
    scored = counts(
        "a",
        champion=ArmCounts(records=2, scores=(2, 1.8, 1.62)),
        candidate=ArmCounts(records=2, scores=(2, 1.0, 0.5)),
    )
    assert comparison(scored)["score_shift"] == pytest.approx(-0.4)
    shadow = comparison(counts("a", compared=10, agreed=9, shift=-0.5))
    assert (shadow["agreement"], shadow["score_shift"]) == (0.9, -0.05)
    assert comparison(counts("a"))["agreement"] is None


def test_what_labels_say_is_counted_by_the_version_that_answered():
    begun = Deployment(champion="1", candidate="2", at="r1")
    found = labelled(
        "sidecar", "mood", begun, [("1", True), ("2", False), ("2", True), ("9", True)]
    )
    poll = noted(counts("a"), found)
    evidence = poll.evidence("mood", "r1", ["a"], 60)
    assert (evidence.champion.labelled, evidence.champion.correct) == (1, 1)
    assert (evidence.candidate.labelled, evidence.candidate.correct) == (2, 1)
    assert (evidence.candidate.records, evidence.unheard) == (100, ())
