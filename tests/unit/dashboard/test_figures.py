"""What looks at processes add up to."""

import math

import pytest

from streamer.dashboard.figures import (
    accuracies,
    lag,
    means,
    percentiles,
    rates,
    sessions,
    step_figures,
    topology_figures,
    totals,
)
from streamer.dashboard.scrape import Scrape, parsed


def look(at, text):
    return Scrape(at, parsed("\n".join(f"streamer_{line}" for line in text.split("\n"))), {})


def counted(values, name="records_consumed_total", first=100.0, every=2.0):
    """One process, looked at every two seconds."""
    return [
        look(first + every * at, f'{name}{{topology="t"}} {value}')
        for at, value in enumerate(values)
    ]


def test_a_rate_is_what_came_in_the_last_ten_seconds():
    long_ago = [0, 5000]
    assert rates(
        [counted([*long_ago, 5000, 5020, 5040, 5060, 5080, 5100])], "records_consumed_total"
    ) == {(): 10.0}


def test_rates_of_several_processes_add_up():
    found = rates([counted([0, 20]), counted([7, 47])], "records_consumed_total", "topology")
    assert found == {("t",): 30.0}


def test_a_counter_that_a_restart_began_anew_never_counts_backwards():
    assert rates([counted([1000, 1010, 4, 14])], "records_consumed_total") == {
        (): pytest.approx((10 + 4 + 10) / 6)
    }


def test_a_single_look_gives_no_rate():
    assert rates([counted([10])], "records_consumed_total") == {}


def histogram(at, counts, total, *, name="record_duration_seconds", labels='topology="t"'):
    bounds = ("0.1", "0.5", "1.0", "+Inf")
    lines = [
        f'{name}_bucket{{{labels},le="{le}"}} {n}' for le, n in zip(bounds, counts, strict=True)
    ]
    lines += [f"{name}_sum{{{labels}}} {total}", f"{name}_count{{{labels}}} {counts[-1]}"]
    return look(at, "\n".join(lines))


def test_percentiles_are_those_of_the_last_minute_and_of_all_processes():
    before = [1000, 1000, 1000, 1000]
    one = [histogram(0, before, 5), histogram(10, [1040, 1050, 1050, 1050], 9)]
    other = [histogram(0, [0, 0, 0, 0], 0), histogram(10, [0, 0, 50, 50], 40)]
    found = percentiles([one, other], "record_duration_seconds", topology="t")
    assert found["p50"] == pytest.approx(0.5)  # 40 + 10 of 100 up to 0.5 s
    assert found["p95"] == pytest.approx(0.5 + 0.5 * 45 / 50)


def test_a_percentile_beyond_the_last_bound_is_that_bound():
    looks = [histogram(0, [0, 0, 0, 0], 0), histogram(10, [0, 0, 0, 9], 90)]
    assert percentiles([looks], "record_duration_seconds")["p99"] == 1.0


def test_nothing_counted_has_no_percentiles_and_no_mean():
    looks = [histogram(0, [3, 3, 3, 3], 1), histogram(10, [3, 3, 3, 3], 1)]
    assert percentiles([looks], "record_duration_seconds") == {}
    assert means([looks], "record_duration_seconds") == {}


def lagging(values, seconds=5.0):
    return [
        look(
            100.0 + 2 * at,
            f'consumer_lag_records{{topology="t",topic="in",partition="0"}} {value}\n'
            f'consumer_lag_seconds{{topology="t",topic="in",partition="0"}} {seconds}',
        )
        for at, value in enumerate(values)
    ]


def test_the_time_to_drain_follows_from_how_fast_the_lag_falls():
    found = lag([lagging([1000, 900, 800])], "t")
    assert (found.records, found.drain_s, found.keeps_up) == (800, pytest.approx(16.0), False)
    assert found.partitions == [{"partition": "in/0", "records": 800, "seconds": 5.0}]


def test_a_lag_that_grows_is_never_drained_and_none_is_drained_at_once():
    assert lag([lagging([10, 20])], "t").drain_s is None
    assert lag([lagging([10, 0])], "t").drain_s == 0.0
    assert lag([lagging([3, 3], seconds=0.2)], "t").keeps_up


def test_batches_tell_items_how_full_and_what_is_padding():
    def at(when, wave, full, items, padded):
        only = 'topology="t",step="s"'
        return look(
            when,
            f'batch_items_count{{{only},reason="wave"}} {wave}\n'
            f'batch_items_count{{{only},reason="full"}} {full}\n'
            f'batch_items_sum{{{only},reason="wave"}} {items}\n'
            f"batch_padding_ratio_sum{{{only}}} {padded}\n"
            f"batch_padding_ratio_count{{{only}}} {wave + full}\n"
            f'predictions_total{{{only},model="m",version="1"}} {items}\n'
            f'predictions_total{{{only},model="m",version="2"}} {items / 3}',
        )

    told = step_figures([[at(0, 0, 0, 0, 0), at(4, 30, 10, 120, 10)]], "t", "s")
    assert told["batch_items"] == 3
    assert told["full_share"] == 0.25
    assert told["padding"] == 0.25
    assert told["answers_per_s"] == 40
    assert told["versions_per_s"] == {"1": 30, "2": 10}
    assert step_figures([[at(0, 0, 0, 0, 0)]], "t", "s")["full_share"] is None


def test_a_topology_shows_only_its_own():
    text = (
        'deadletters_total{topology="t",stage="decode",reason="bad"} 3\n'
        'deadletters_total{topology="u",stage="decode",reason="bad"} 9'
    )
    told = topology_figures([[look(1, text)]], "t")
    assert (told["dead"], told["deadletters"]) == (3, {"decode/bad": 3})


def test_sessions_and_accuracies_are_listed():
    text = (
        'session_info{model="m",device="cpu",provider="P"} 2\n'
        'live_accuracy_ratio{step="s",model="m",version="1"} 0.9\n'
        'live_accuracy_ratio{step="s",model="m",version="2"} NaN\n'
        'live_labelled_records{step="s",model="m",version="1"} 40'
    )
    looks = [[look(1, text)]]
    assert sessions(looks) == [{"model": "m", "device": "cpu", "provider": "P", "sessions": 2}]
    first, second = accuracies(looks)
    assert (first["accuracy"], first["labelled"]) == (0.9, 40)
    assert second["accuracy"] is None
    assert not math.isnan(totals(looks, "live_labelled_records")[()])
