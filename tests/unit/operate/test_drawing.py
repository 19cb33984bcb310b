import numpy as np
import pytest

from streamer.operate.drawing import drawn

BOX = {"xmin": 60, "ymin": 50, "xmax": 120, "ymax": 110}


@pytest.fixture
def pixels():
    return np.zeros((160, 200, 3), np.uint8)


def changed(picture, pixels) -> np.ndarray:
    return np.argwhere((np.asarray(picture) != pixels[:, :, ::-1]).any(axis=2))


def test_colours_are_kept_and_nothing_is_drawn_of_nothing(pixels):
    pixels[:, :, 0] = 200  # blue, as OpenCV has it
    picture = drawn(pixels, {"detect": []})
    assert picture.getpixel((5, 5)) == (0, 0, 200)
    assert changed(picture, pixels).size == 0


def test_a_box_is_drawn_where_it_is_with_its_label_above(pixels):
    output = [{"label": "stop", "score": 0.93, "box": BOX}]
    picture = drawn(pixels, {"detect": output})
    assert picture.getpixel((60, 80)) != (0, 0, 0)
    assert picture.getpixel((120, 80)) != (0, 0, 0)
    assert picture.getpixel((90, 80)) == (0, 0, 0)
    rows = changed(picture, pixels)[:, 0]
    assert 25 <= rows.min() < 50
    assert rows.max() <= 112


def test_what_a_step_says_of_crops_goes_to_their_boxes(pixels):
    detect = [{"label": "sign", "score": 0.9, "box": BOX}]
    kind = [{"item": 0, "box": BOX, "output": [{"label": "a stop sign", "score": 0.8}]}]
    alone = changed(drawn(pixels, {"detect": detect}), pixels)
    both = changed(drawn(pixels, {"detect": detect, "kind": kind}), pixels)
    assert len(both) > len(alone)
    assert both[:, 0].max() <= 112  # no banner, no second box


def test_labels_of_the_whole_picture_are_a_banner_at_the_top(pixels):
    rows = changed(drawn(pixels, {"classify": [{"label": "cat", "score": 1.0}]}), pixels)[:, 0]
    assert rows.max() < 40


@pytest.mark.parametrize(
    "box",
    [
        {"xmin": 0, "ymin": 0, "xmax": 199, "ymax": 159},
        {"xmin": 190, "ymin": 150, "xmax": 400, "ymax": 300},
        {"xmin": -50, "ymin": -50, "xmax": -1, "ymax": -1},
        {"xmin": 90, "ymin": 90, "xmax": 10, "ymax": 10},
        {"xmin": 5.5, "ymin": 5.5, "xmax": 5.5, "ymax": 5.5},
    ],
)
def test_boxes_at_and_beyond_the_edge_can_be_drawn(pixels, box):
    output = [{"label": "größer als üblich", "score": 0.5, "box": box}]
    assert drawn(pixels, {"detect": output}).size == (200, 160)
