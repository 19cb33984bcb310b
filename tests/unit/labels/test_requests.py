"""Which answers people are asked about."""

import json

from streamer.labels import Place, Requests, is_random, read_label, request_value
from streamer.records import Record


def test_the_random_share_is_of_the_size_asked_for_and_the_same_whoever_draws():
    places = [Place("t", 0, offset, "kind") for offset in range(20_000)]
    drawn = [one for one in places if is_random(one, 0.05)]
    assert 850 < len(drawn) < 1150
    chooser = Requests(random=0.05, uncertain=0)
    assert [one for one in places if chooser.asked(one, 0.5)] == drawn


def test_low_scores_are_asked_about_with_certainty_unless_the_lot_has_chosen_them():
    chooser = Requests(random=0.0, uncertain=0.1)
    for offset in range(100):
        chooser.asked(Place("t", 0, offset), 0.9)
    assert chooser.asked(Place("t", 0, 100), 0.2) == ("uncertain", 1.0)
    assert chooser.asked(Place("t", 0, 101), 0.95) is None
    fair = Requests(random=1.0, uncertain=0.1)
    assert fair.asked(Place("t", 0, 1), 0.1) == ("random", 1.0)


def test_a_request_is_a_label_once_somebody_has_added_the_answer():
    place = Place("t", 2, 7, "kind", 1)
    request = json.loads(request_value(place, 99, "random", 0.01, "stop"))
    request["label"] = "yield"
    found = read_label(Record("l", 0, 0, 0, None, json.dumps(request).encode()))
    assert (found.place, found.timestamp, found.propensity) == (place, 99, 0.01)
    assert (found.reason, found.answer) == ("random", "yield")
