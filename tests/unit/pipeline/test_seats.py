"""Batches in flight: counted by barriers, so that no clock decides."""

from threading import Barrier, Event, Lock

import pytest

from streamer.pipeline.seats import Seats

WAIT_S = 30.0


class Counting:
    """A session that knows how many threads are in it."""

    def __init__(self, in_flight):
        self.in_flight = in_flight
        self.inside = self.most = 0
        self.lock = Lock()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1


def test_a_gpus_one_session_runs_two_batches_at_once():
    session = Counting(2)
    seats = Seats([session], "m")
    met = Barrier(2)  # broken unless two are in it together

    def work(one):
        with one:
            met.wait(WAIT_S)

    for future in [seats.submit(work) for _ in range(6)]:
        future.result(WAIT_S)
    seats.close()
    assert session.most == 2


@pytest.mark.parametrize(("count", "in_flight"), [(1, 1), (3, 1), (2, 2)])
def test_several_sessions_run_one_batch_each(count, in_flight):
    sessions = [Counting(in_flight) for _ in range(count)]
    seats = Seats(sessions, "m")
    met = Barrier(count)

    def work(session):
        with session:
            met.wait(WAIT_S)

    for future in [seats.submit(work) for _ in range(4 * count)]:
        future.result(WAIT_S)
    seats.close()
    assert [session.most for session in sessions] == [1] * count


def test_batches_begin_in_order_and_results_are_theirs():
    seats = Seats([Counting(2)], "m")
    began, lock = [], Lock()

    def work(number):
        def run(_session):
            with lock:
                began.append(number)
            return number * number

        return run

    found = [future.result(WAIT_S) for future in [seats.submit(work(n)) for n in range(50)]]
    seats.close()
    assert found == [number * number for number in range(50)]
    assert all(abs(at - number) <= 1 for at, number in enumerate(began))  # two at once


def test_closing_waits_for_both_batches_and_forgets_what_has_not_begun():
    seats = Seats([Counting(2)], "m")
    inside, go = Barrier(3), Event()
    done = []

    def work(_session):
        inside.wait(WAIT_S)
        go.wait(WAIT_S)
        done.append(1)

    running = [seats.submit(work) for _ in range(2)]
    inside.wait(WAIT_S)
    waiting = seats.submit(done.append)
    go.set()
    seats.close()
    assert [future.done() for future in running] == [True, True]
    assert sum(1 for one in done if one == 1) == 2
    assert waiting.cancelled() or waiting.done()


def test_a_batch_that_fails_frees_its_seat():
    seats = Seats([Counting(1)], "m")

    def failing(_session):
        raise ValueError("one")

    for _ in range(3):
        with pytest.raises(ValueError, match="one"):
            seats.submit(failing).result(WAIT_S)
    assert seats.submit(lambda session: session.in_flight).result(WAIT_S) == 1
    seats.close()


def test_what_comes_alone_is_given_the_session_for_that():
    sessions, alone = [Counting(1), Counting(1)], Counting(1)
    seats = Seats(sessions, "m", alone)
    assert all(seats.submit(lambda one: one).result(WAIT_S) is alone for _ in range(5))
    both_are_in = Event()
    first = seats.submit(lambda one: (one, both_are_in.wait(WAIT_S))[0])
    second = seats.submit(lambda one: (one, both_are_in.set())[0])
    assert second.result(WAIT_S) in sessions
    first.result(WAIT_S)
    assert seats.submit(lambda one: one).result(WAIT_S) is alone
    seats.close()
