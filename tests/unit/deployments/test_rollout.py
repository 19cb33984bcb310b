import pytest
from support.items import record

from streamer.deployments.deployment import ChangedMeanwhileError, Deployment
from streamer.deployments.rollout import KeySplit, Rollout, trying
from streamer.errors import ConfigError

KEYS = [b"user-%d" % number for number in range(50_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_candidate_gets_its_share_of_50_000_keys_within_one_percent(share):
    chosen = KeySplit("mood", "2", share)
    got = sum(chosen(record(0, key=key)) for key in KEYS) / len(KEYS)
    assert abs(got - share) <= 0.01
    assert abs(got - share) <= 0.1 * share  # a hundredth of 1% would be missed by a point unseen


def test_records_without_key_are_split_one_by_one():
    chosen = KeySplit("mood", "2", 0.1)
    records = [record(offset, offset % 7, key=None) for offset in range(50_000)]
    assert abs(sum(map(chosen, records)) / len(records) - 0.1) <= 0.01
    assert [chosen(one) for one in records[:100]] == [chosen(one) for one in records[:100]]


def test_a_key_is_always_on_the_same_side_whatever_its_record_and_whoever_asks():
    first, second = KeySplit("mood", "2", 0.3), KeySplit("mood", "2", 0.3)
    for at, key in enumerate(KEYS[:2000]):
        assert first(record(at, key=key)) == second(record(at + 7, 3, key=key))


def test_a_greater_share_keeps_the_keys_of_a_smaller_one_and_another_candidate_gets_others():
    small, large = KeySplit("mood", "2", 0.1), KeySplit("mood", "2", 0.4)
    other = KeySplit("mood", "3", 0.1)
    picked = [one for one in (record(0, key=key) for key in KEYS[:5000]) if small(one)]
    assert all(map(large, picked))
    assert sum(map(other, picked)) < 0.2 * len(picked)


def test_equal_shares_of_both_are_timed():
    for share, width in ((0.1, 0.1), (0.5, 0.5), (0.8, 0.2)):
        split = KeySplit("mood", "2", share)
        got = [one for one in (record(0, key=key) for key in KEYS) if split.timed(one)]
        candidates = sum(map(split, got))
        assert abs(candidates / len(KEYS) - width) <= 0.01
        assert abs((len(got) - candidates) / len(KEYS) - width) <= 0.01


def test_the_ends_of_a_share_are_nobody_and_everybody():
    nobody, everybody = KeySplit("mood", "2", 0.0), KeySplit("mood", "2", 1.0)
    assert not any(nobody(record(0, key=key)) for key in KEYS[:1000])
    assert all(everybody(record(0, key=key)) for key in KEYS[:1000])


def test_a_rollout_is_written_as_in_files():
    rollout = Rollout.model_validate({"mode": "canary", "share": "10%", "max_time": "30m"})
    assert (rollout.share, rollout.max_time) == (0.1, 1800)
    assert Rollout.model_validate(rollout.model_dump(mode="json")) == rollout


def test_a_candidate_is_put_beside_what_serves_and_read_back_with_its_rules():
    rollout = Rollout.model_validate({"mode": "shadow", "share": "20%", "min_agreement": "90%"})
    before = Deployment(champion="1", previous="0")
    made = trying("2", rollout, by="ann", expected="1")(before)
    assert (made.champion, made.candidate, made.previous) == ("1", "2", "0")
    assert (made.shares, made.mode, made.rules) == ({"2": 0.2}, "shadow", {"min_agreement": 0.9})
    assert Rollout.of(Deployment.read(made.written())) == rollout
    assert Rollout.of(before) is None


@pytest.mark.parametrize(
    ("found", "expected", "told"),
    [
        (None, None, "nothing serves"),
        (Deployment(champion="3"), "1", "version 1 was expected"),
        (Deployment(champion="2"), None, "serves already"),
    ],
)
def test_a_candidate_needs_a_champion_and_the_one_that_was_expected(found, expected, told):
    with pytest.raises(ChangedMeanwhileError, match=told):
        trying("2", Rollout(), by="ann", expected=expected)(found)


def test_rules_that_are_not_known_are_named():
    deployment = Deployment(champion="1", candidate="2", rules={"max_tim": "1h"})
    with pytest.raises(ConfigError, match="max_tim"):
        Rollout.of(deployment)
