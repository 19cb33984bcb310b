import random
from itertools import count, pairwise
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pipeline.division import DecodeThreads, Division


class Line:
    """A line whose decoding needs so many threads if it is to keep the models busy."""

    def __init__(self, cores, needs):
        self.division = Division(cores)
        self.needs = needs
        self.history = []

    def run(self, noises):
        for noise in noises:
            self.division.ran(min(self.needs * noise, self.division.threads))
            self.history.append(self.division.threads)
        return self.history[-1]


def test_a_heavy_model_leaves_decoding_one_thread():
    assert Line(8, 0.1).run([1.0] * 100) == 1


def test_decoding_that_is_the_slower_half_keeps_all_threads():
    line = Line(8, 20.0)
    assert line.run([1.0] * 100) == 8
    assert set(line.history) == {8}


def test_half_goes_at_the_most_and_only_after_several_stretches_that_agree():
    line = Line(16, 3.0)
    assert line.run([1.0] * 2) == 16
    assert line.run([1.0]) == 8
    assert line.run([1.0, 1.2, 1.0]) == 8  # one of them needs more than half of seven
    assert line.run([1.0, 1.1]) == 7  # 3.3 of them at the most are busy


def test_threads_that_stay_have_twice_the_time_that_the_busiest_stretch_took():
    line = Line(8, 2.0)
    assert line.run([1.0, 1.4, 1.0]) == 6


def test_larger_pictures_bring_threads_back_at_once():
    line = Line(8, 0.1)
    assert line.run([1.0] * 100) == 1
    line.needs = 8.0
    assert [line.run([1.0]) for _ in range(4)] == [2, 3, 5, 8]


@given(cores=st.integers(1, 64), busy=st.lists(st.floats(0, 100), max_size=50))
def test_never_above_the_cores_and_never_below_one(cores, busy):
    division = Division(cores)
    for one in busy * 4:
        before = division.threads
        assert division.ran(one) == (division.threads != before)
        assert 1 <= division.threads <= cores


@given(cores=st.integers(1, 32), needs=st.floats(0.01, 40), seed=st.integers(0, 2**32))
def test_it_comes_down_to_enough_threads_and_stays_however_the_load_flickers(cores, needs, seed):
    chance = random.Random(seed)
    line = Line(cores, needs)
    settled = line.run([chance.uniform(0.9, 1.1) for _ in range(4 * cores * 3)])
    assert min(needs, cores) <= settled <= max(needs / 0.4 + 2, 1)
    assert sorted(line.history, reverse=True) == line.history


@given(cores=st.integers(2, 32), share=st.floats(0.05, 1.0), seed=st.integers(0, 2**32))
def test_a_load_that_jumps_about_moves_it_ever_more_rarely(cores, share, seed):
    chance = random.Random(seed)
    line = Line(cores, share * cores)
    line.run([chance.choice([0.2, 1.0, 3.0]) for _ in range(1000)])
    rose = sum(one < other for one, other in pairwise(line.history))
    came_back = 1000 // 96 + 6  # stretches in all, by those that have to agree in the end
    assert rose <= came_back + cores


def waves(threads, clock, works):
    """Send waves through, each on top of the one before; a wave's one part takes so long."""

    def part(seconds):
        clock.now += seconds

    threads.begin()
    for seconds, rest in works:
        threads.begin()
        threads.submit(part, seconds).result()
        clock.now += rest
        threads.finish()
    threads.finish()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_threads_that_stand_still_most_of_the_time_go():
    clock = Clock()
    threads = DecodeThreads("auto", 4, clock)
    waves(threads, clock, [(0.1, 0.9)] * 60)
    assert threads.threads == 1
    threads.close()


def test_a_wave_that_comes_to_an_idle_line_teaches_nothing():
    clock = Clock()
    threads = DecodeThreads("auto", 4, clock)
    for _ in range(30):
        waves(threads, clock, [])
        clock.now += 10.0
    assert threads.threads == 4
    threads.close()


@pytest.mark.parametrize(("threads", "cores", "found"), [(3, 8, 3), ("auto", 2, 2), ("auto", 3, 3)])
def test_a_number_that_is_set_stays_and_few_cores_are_left_to_the_system(threads, cores, found):
    clock = Clock()
    made = DecodeThreads(threads, cores, clock)
    waves(made, clock, [(0.01, 1.0)] * 50)
    assert made.threads == found
    made.close()


def test_only_a_line_with_a_backlog_is_held_to_the_division():
    clock = Clock()
    threads = DecodeThreads("auto", 4, clock)
    waves(threads, clock, [(0.1, 0.9)] * 60)
    started, go_on = [Event() for _ in range(2)], Event()

    def part(number):
        started[number].set()
        return go_on.wait(10.0)

    threads.begin()
    threads.begin()
    parts = [threads.submit(part, number) for number in range(2)]
    assert started[0].wait(10.0)
    assert not started[1].is_set()  # the other wave's thread waits for its turn
    threads.finish()  # the wave before is decoded: nothing waits any more
    assert started[1].wait(10.0)
    go_on.set()
    assert all(part.result() for part in parts)
    threads.finish()
    threads.close()


def test_what_a_part_raises_is_raised_and_its_turn_is_free_again():
    threads = DecodeThreads("auto", 4, count().__next__)
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result()
    assert [threads.submit(int, n).result() for n in range(8)] == list(range(8))
    threads.close()
