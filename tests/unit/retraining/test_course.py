"""How long weights are learnt where the file says nothing, and how fast at each step."""

from itertools import pairwise

import pytest

from streamer.retraining.config import Training
from streamer.retraining.tuning.course import Course


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [(20_000, 10), (800, 10), (360, 22), (48, 100), (1, 100)],
)
def test_few_examples_are_seen_more_often_within_bounds(examples, epochs):
    course = Course.of(Training(), examples)
    assert course.epochs == epochs
    assert course.epochs * course.steps_each >= 500 or course.epochs == 100


def test_what_the_file_says_counts():
    course = Course.of(Training(epochs=3, patience=7, batch_size=32), 40)
    assert (course.epochs, course.patience, course.steps_each) == (3, 7, 2)


@pytest.mark.parametrize(("epochs", "patience"), [(1, 1), (4, 2), (10, 4), (100, 34)])
def test_patience_is_a_third_of_the_epochs(epochs, patience):
    assert Course.of(Training(epochs=epochs), 1000).patience == patience


def test_the_rate_rises_over_a_tenth_of_the_steps_and_falls_to_nothing():
    course = Course.of(Training(epochs=5, batch_size=10), 200)
    shares = [course.share(epoch, step) for epoch in range(5) for step in range(20)]
    assert shares[:10] == pytest.approx([at / 10 for at in range(1, 11)])
    assert max(shares) == 1
    assert all(after < before for before, after in pairwise(shares[10:]))
    assert 0 < shares[-1] < 0.02
