import pytest

from benchmarks.kafka import Arrivals


def waves(each_s: float, records: int, count: int, spread_s: float = 0.05) -> list[float]:
    """Give the times of answers that come in waves."""
    return [
        wave * each_s + spread_s * record / records
        for wave in range(count)
        for record in range(records)
    ]


def test_answers_that_flow_have_the_rate_they_flow_at():
    flowing = [number / 80 for number in range(1000)]
    assert Arrivals(flowing).rate() == pytest.approx(80)
    assert Arrivals(flowing).part(0.1, 0.3) == pytest.approx(80)


@pytest.mark.parametrize("records", [30, 64, 100, 256, 300])
def test_answers_that_come_in_waves_have_the_rate_of_whole_waves(records):
    found = Arrivals(waves(1.3, records, 1800 // records)).rate()
    assert found == pytest.approx(records / 1.3, rel=0.01)


def test_what_fills_the_line_and_what_is_left_in_it_do_not_count():
    slow, steady, fast = waves(4, 50, 1), waves(1, 50, 16), waves(0.2, 50, 3)
    times = [*slow, *(4 + time for time in steady), *(20 + time for time in fast)]
    assert Arrivals(times).rate() == pytest.approx(50, rel=0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_answers_are_no_error(count):
    assert Arrivals([float(number) for number in range(count)]).rate() >= 0
