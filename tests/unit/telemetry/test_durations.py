import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.telemetry.durations import BOUNDS, DurationCounts, Durations


@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=300))
def test_percentiles_are_within_five_percent_of_the_exact_ones(seconds):
    counts = DurationCounts()
    counts.add(seconds)
    for share in (50, 95, 99):
        exact = float(np.percentile(seconds, share, method="inverted_cdf"))
        assert counts.percentiles([share])[f"p{share}"] == pytest.approx(exact, rel=0.05)


@given(st.lists(st.sampled_from([*BOUNDS, 0.0, 0.0004, 0.7, 100.0, 1e9]), max_size=50))
def test_buckets_count_what_is_at_most_their_bound(seconds):
    counts = DurationCounts()
    counts.add(seconds)
    for bound, reached in counts.buckets():
        assert reached == sum(value <= float(bound) for value in seconds)


def test_nothing_counted_has_no_percentiles():
    durations = Durations("x_seconds", "x", "topology")
    assert durations.percentiles("street") == {}
    durations.add("street", [])
    assert durations.percentiles("street") == {}


def test_the_family_is_what_prometheus_reads():
    durations = Durations("x_seconds", "x", "topology")
    durations.add("street", [0.3, 0.4])
    durations.add("shop", 2.0)
    (family,) = durations.collect()
    samples = {(s.name, s.labels["topology"], s.labels.get("le")): s.value for s in family.samples}
    assert samples["x_seconds_bucket", "street", "0.5"] == 2
    assert samples["x_seconds_bucket", "street", "0.25"] == 0
    assert samples["x_seconds_count", "street", None] == 2
    assert samples["x_seconds_sum", "street", None] == pytest.approx(0.7)
    assert samples["x_seconds_bucket", "shop", "+Inf"] == 1
