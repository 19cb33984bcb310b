from math import inf, lgamma, log

import numpy as np
import pytest

from streamer.deployments.intervals import (
    Moments,
    mean_interval,
    paired_difference,
    ratio_interval,
    ratio_of_times,
    share_interval,
)


def test_a_share_is_bounded_where_the_mixture_reaches_one_in_alpha():
    found = share_interval(30, 1000, 0.05)
    for edge in (found.low, found.high):
        mixed = lgamma(30.5) + lgamma(970.5) - lgamma(1001) - 2 * lgamma(0.5)
        likelihood = 30 * log(edge) + 970 * log(1 - edge)
        assert mixed - likelihood == pytest.approx(log(20), abs=1e-4)
    assert found.low < found.guess == 0.03 < found.high


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0, 0.07), (100, 0.93, 1), (50, 0.3, 0.7)])
def test_a_share_is_bounded_also_at_its_ends(hits, low, high):
    found = share_interval(hits, 100, 0.05)
    assert low <= found.low <= found.guess <= found.high <= high


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_at_all_looks_together_a_share_is_missed_in_at_most_one_run_in_twenty(share):
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(200):
        hits = np.cumsum(random.random(4000) < share)
        looks = [share_interval(int(hits[at - 1]), at, 0.05) for at in range(20, 4001, 200)]
        missed += any(not look.low <= share <= look.high for look in looks)
    assert missed <= 10


def test_a_ratio_of_rates_heeds_how_much_each_side_was_exposed():
    found = ratio_interval((90, 10), (9000, 1000), 0.05)
    assert found.guess == pytest.approx(1)
    assert found.low < 1 < found.high
    assert ratio_interval((0, 10), (9000, 1000), 0.05).high == inf
    assert ratio_interval((0, 10), (9000, 1000), 0.05).low > 5
    assert (
        ratio_interval((0, 0), (9, 1), 0.05).low,
        ratio_interval((0, 0), (0, 1), 0.05).high,
    ) == (
        0,
        inf,
    )


def test_more_looks_are_paid_for_with_width():
    found = mean_interval(0.0, 0.01**2, 0.05, 0.05)
    assert 0.0196 < found.high < 0.05


def test_pairs_that_are_alike_say_more_than_two_samples():
    alike = paired_difference(10, 10, 1000, 0.05, 0.05)
    unlike = paired_difference(200, 200, 1000, 0.05, 0.05)
    assert alike.high < unlike.high


def test_the_ratio_of_times_is_that_of_their_geometric_means():
    first = Moments(50, 0, 1.0)
    second = Moments(50, 50 * log(2), 50 * log(2) ** 2 + 1.0)
    found = ratio_of_times(first, second, log(1.5), 0.05)
    assert found.guess == pytest.approx(2)
    assert 1.5 < found.low < 2 < found.high
    assert ratio_of_times(Moments(), Moments(9), 0.4, 0.05).high == inf
