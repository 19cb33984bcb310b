"""Pictures that are varied each time they are learnt from."""

import numpy as np

from streamer.records import Image
from streamer.retraining.tuning.batches import varied

BOX = [{"label": "sign", "box": [30, 20, 50, 60]}]


def scene() -> Image:
    """A grey ground with a white box."""
    pixels = np.full((80, 100, 3), 60, np.uint8)
    pixels[20:60, 30:50] = 200
    return Image(pixels)


def drawn(seed: int, *, flips: bool, boxes: bool = True):
    return varied(scene(), BOX, np.random.default_rng(seed), boxes=boxes, flips=flips)


def test_boxes_go_where_the_pictures_go():
    middles = set()
    for seed in range(40):
        image, [told] = drawn(seed, flips=True)
        assert image.size == scene().size
        grey = image.pixels[:, :, 0].astype(float)
        bright = grey > (grey.min() + grey.max()) / 2
        rows, columns = np.nonzero(bright)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(told["box"]) - seen).max() <= 2, seed
        assert told["label"] == "sign"
        middles.add(round((told["box"][0] + told["box"][2]) / 2))
    assert min(middles) < 45
    assert max(middles) > 55  # mirrored


def test_nothing_is_mirrored_where_left_and_right_mean_something():
    assert all(drawn(seed, flips=False)[1][0]["box"][0] < 45 for seed in range(40))


def test_pictures_are_lit_anew_and_the_same_draw_gives_the_same_picture():
    first, again = (drawn(3, flips=True)[0].pixels for _ in range(2))
    assert (first == again).all()
    means = [drawn(seed, flips=False)[0].pixels.mean() for seed in range(20)]
    assert max(means) - min(means) > 15


def test_a_box_that_is_cut_in_half_goes_and_labels_stay_as_they_are():
    edge = [{"label": "sign", "box": [0, 0, 6, 80]}]
    counts = {
        len(varied(scene(), edge, np.random.default_rng(seed), boxes=True, flips=False)[1])
        for seed in range(40)
    }
    assert counts == {0, 1}
    assert varied(scene(), "cat", np.random.default_rng(0), boxes=False, flips=True)[1] == "cat"
