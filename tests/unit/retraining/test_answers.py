"""What a prediction says of one step."""

from streamer.retraining.answers import best_of, outputs_of


def test_an_answer_is_of_the_record_or_of_each_crop_with_its_box():
    whole = [{"label": "stop", "score": 0.9}]
    assert list(outputs_of(whole)) == [(None, whole, None)]
    crop = {"item": 2, "box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "output": whole}
    assert list(outputs_of([crop])) == [(2, whole, (1, 2, 3, 4))]


def test_an_answer_is_as_sure_as_its_best_label_or_as_the_least_sure_of_its_parts():
    assert best_of([{"label": "a", "score": 0.7}, {"label": "b", "score": 0.3}]) == ("a", 0.7)
    boxes = [{"label": "a", "score": 0.9, "box": {}}, {"label": "b", "score": 0.4, "box": {}}]
    assert best_of(boxes) == (None, 0.4)
    entities = [{"entity_group": "PER", "score": 0.8, "start": 0, "end": 3}]
    assert best_of(entities) == (None, 0.8)
    assert best_of({"score": 0.2}) == (None, None)
    assert best_of([]) == (None, None)
