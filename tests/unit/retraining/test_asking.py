"""Predictions are looked at for requests once, also by the next sidecar."""

from streamer.records import Record
from streamer.retraining.asking import Asked
from streamer.retraining.place import Place


def record(partition: int, offset: int) -> Record:
    return Record("predictions", partition, offset, 0, None, b"{}")


def test_the_first_sidecar_asks_about_what_comes_and_the_next_one_goes_on(tmp_path):
    place = Place(str(tmp_path))
    first = Asked(place, {0: 5, 1: 0})
    assert [first.is_new(record(0, at)) for at in (4, 5)] == [False, True]
    first.done({0: 9, 1: 2})
    first.flush()
    again = Asked(place, {0: 20, 1: 20, 2: 20})
    assert [again.is_new(record(0, at)) for at in (8, 9)] == [False, True]
    assert [again.is_new(record(1, at)) for at in (1, 2)] == [False, True]
    assert again.is_new(record(2, 0))  # a partition that was added


def test_reading_old_predictions_again_does_not_ask_again(tmp_path):
    asked = Asked(Place(str(tmp_path)), {0: 50})
    asked.done({0: 3})
    assert not asked.is_new(record(0, 49))


def test_of_a_topic_that_was_made_anew_nothing_is_passed_over(tmp_path):
    place = Place(str(tmp_path))
    Asked(place, {0: 1000})
    assert Asked(place, {0: 4}).is_new(record(0, 4))
