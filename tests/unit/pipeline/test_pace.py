from hypothesis import given
from hypothesis import strategies as st

from streamer.config.topology import WaveLimits
from streamer.pipeline.pace import Pace, pace_of


def after(waves, *, most=4096, max_latency=None, behind=0, lengths_differ=True):
    """Give the pace after waves of (seconds since the one before, records, backlog)."""
    now = [0.0]
    pace = Pace(most, max_latency, lengths_differ=lengths_differ, clock=lambda: now[0])
    for seconds, records, backlog in waves:
        now[0] += seconds
        pace.left(records, backlog=backlog, behind=behind)
    return pace.records


def test_a_slow_line_has_small_waves_and_a_fast_one_large():
    assert after([(1, 100, True)] * 20) == 50
    assert after([(0.1, 800, True)] * 20) == 4000


def test_a_wave_changes_by_a_factor_of_two_at_the_most():
    assert after([(1, 256, True), (0.1, 256, True)]) == 512
    assert after([(1, 256, True), (100, 256, True)]) == 128


def test_waves_without_a_backlog_and_empty_ones_tell_nothing():
    assert after([(1, 1, False)] * 9) == 256
    assert after([(1, 0, True)] * 9) == 256


def test_waves_of_one_transaction_count_as_one():
    burst = [(1.0, 100, True), (0.0, 100, True), (0.0, 100, True)]
    assert after(burst * 20) == 150


def test_a_line_that_is_far_behind_takes_larger_waves():
    waves = [(1, 100, True)] * 20
    assert after(waves, behind=1_000_000) == 150
    assert after(waves, behind=100) == 50
    assert after(waves, behind=1_000_000, lengths_differ=False) == 50


def test_a_wave_takes_its_share_of_the_longest_time_a_record_may_take():
    waves = [(1, 1000, True)] * 20
    assert after(waves, max_latency=0.4) == 100
    assert after(waves, max_latency=60) == 500
    assert after(waves, max_latency=0.4, behind=1_000_000) == 1500


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000), st.booleans())),
    st.integers(1, 5000),
)
def test_a_wave_holds_something_and_never_more_than_allowed(waves, most):
    assert min(32, most) <= after(waves, most=most) <= most


def test_the_first_wave_of_pictures_is_small():
    assert pace_of(WaveLimits(), "image").records == 32
    assert pace_of(WaveLimits(max_records=8), "image").records == 8
    assert pace_of(WaveLimits(), "text").records == 256
