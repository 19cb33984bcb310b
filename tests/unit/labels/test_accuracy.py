"""Live accuracy: of the random share, by the record's time, with its coverage."""

import random

from streamer.deployments.intervals import share_interval
from streamer.labels import Answer, LiveAccuracy, Place, Requests, is_random

HOUR = 3_600_000


def answer(label="a", at=0, **more) -> Answer:
    return Answer("m", "1", label, 0.9, at, **more)


def place(offset: int) -> Place:
    return Place("t", 0, offset, "kind")


def test_answers_and_labels_meet_whichever_comes_first():
    live = LiveAccuracy(delay_ms=0, window_ms=10 * HOUR)
    live.answered(place(1), answer(random=True))
    live.labelled(place(1), "a", random=True)
    live.labelled(place(2), "b", random=True)
    live.answered(place(2), answer(random=True))
    [figures] = live.versions(HOUR).values()
    assert (figures.random, figures.random_right, figures.coverage) == (2, 1, 1.0)


def test_records_younger_than_labels_take_are_not_reported_and_cohorts_go_by_their_time():
    live = LiveAccuracy(delay_ms=HOUR, window_ms=100 * HOUR)
    for hour in range(4):
        live.answered(place(hour), answer(at=hour * HOUR))
    begins = [key[3] for key in live.cohorts(3 * HOUR)]
    assert begins == [0, HOUR, 2 * HOUR]


def test_the_last_label_of_an_answer_counts_and_a_withdrawn_one_does_not():
    live = LiveAccuracy(delay_ms=0, window_ms=10 * HOUR)
    live.answered(place(1), answer())
    live.labelled(place(1), "b", random=False)
    live.labelled(place(1), "a", random=False)
    assert live.versions(HOUR)["kind", "m", "1"].reviewed == 1.0
    live.withdrawn(place(1))
    assert live.versions(HOUR)["kind", "m", "1"].labelled == 0


def test_what_is_kept_is_bounded_by_time_and_number():
    live = LiveAccuracy(delay_ms=0, window_ms=2 * HOUR, most=10)
    for number in range(30):
        live.answered(place(number), answer(at=number))
        live.labelled(place(number), "a", random=False)
    assert live.versions(HOUR)["kind", "m", "1"].answered == 10
    assert live.versions(9 * HOUR) == {}


def test_answers_that_are_no_single_labels_are_compared_as_the_task_does_and_bounded_in_bytes():
    live = LiveAccuracy(
        delay_ms=0,
        window_ms=10 * HOUR,
        most_bytes=30,
        right=lambda given, wanted: float(given.given) == wanted,
    )
    for number in range(10):
        live.answered(place(number), answer(None, given=b"0.5 "))
        live.labelled(place(number), 0.5 if number % 2 else 0.4, random=False)
    live.answered(place(9), answer(None, given=b"0.5"))
    [figures] = live.versions(HOUR).values()
    assert (figures.answered, figures.labelled, figures.right) == (7, 7, 4)


def test_labels_for_the_least_certain_alone_give_no_headline_rather_than_a_wrong_one():
    live = LiveAccuracy(delay_ms=0, window_ms=10 * HOUR)
    for offset in range(2000):
        where = place(offset)
        live.answered(where, answer(random=is_random(where, 0.05)))
        if offset % 10 == 0:  # who labels them calls them random, and most were not drawn
            live.labelled(where, "b", random=offset % 20 == 0 and not is_random(where, 0.05))
    [figures] = live.versions(HOUR).values()
    assert figures.reviewed == 0.0
    assert figures.accuracy is None
    assert figures.random_coverage == 0.0


def test_labels_for_the_least_certain_tenth_leave_the_headline_within_its_interval():
    draw = random.Random(3)
    live = LiveAccuracy(delay_ms=0, window_ms=100 * HOUR)
    asked = Requests(random=0.05, uncertain=0.1)
    right = 0
    for offset in range(20_000):
        score = draw.random()
        good = draw.random() < 0.5 + 0.5 * score  # the less certain, the more often wrong
        right += good
        where = place(offset)
        live.answered(where, answer("a" if good else "b", random=is_random(where, 0.05)))
        request = asked.asked(where, score)
        if request is not None:
            live.labelled(where, "a", random=request[0] == "random")
    [figures] = live.versions(HOUR).values()
    truth = right / 20_000
    interval = share_interval(figures.random_right, figures.random, 0.001)
    assert interval.low <= truth <= interval.high
    assert figures.random > 700
    assert figures.random_coverage == 1.0
    assert figures.reviewed < truth - 0.1  # what was looked at tells another story
