"""Centre heads, against a search through the map place by place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ModelError
from streamer.models.manifest import Output
from streamer.postprocess.centres import Centres
from streamer.records import Geometry

OUTPUTS = {
    "hm": {"decode": "heatmap"},
    "wh": {"decode": "sizes"},
    "reg": {"decode": "offsets"},
}
PLAIN = Geometry((64, 64), (64, 64), 1.0, 1.0, 0.0, 0.0)


def test_an_object_is_where_the_heat_is_highest(told):
    heat, sizes, inside = (
        np.full((1, 3, 16, 16), -9.0),
        np.zeros((1, 2, 16, 16)),
        np.zeros((1, 2, 16, 16)),
    )
    heat[0, 1, 4, 6] = 2.0
    heat[0, 1, 4, 7] = 1.9  # its neighbour is hotter
    heat[0, 2, 4, 7] = 1.0  # another label has its own peak
    sizes[0, :, 4, 6] = [5, 3]
    sizes[0, :, 4, 7] = [2, 2]
    inside[0, :, 4, 6] = [0.25, 0.5]
    rows = told(OUTPUTS, {"hm": heat, "wh": sizes, "reg": inside})
    # cells are 4 pixels: centre (6.25, 4.5) * 4, sides 20 x 12
    assert rows == [[("dog", 0.881, (15, 12, 35, 24)), ("cow", 0.731, (24, 12, 32, 20))]]


def test_landmarks_count_from_the_centre(objects):
    heat = np.full((1, 1, 16, 16), -9.0)
    heat[0, 0, 4, 6] = 2.0
    marks = np.zeros((1, 4, 16, 16))
    marks[0, :, 4, 6] = [1, 0, -1, 0.5]
    outputs = {**OUTPUTS, "hps": {"decode": "landmarks"}}
    del outputs["reg"]
    values = {"hm": heat, "wh": np.full((1, 2, 16, 16), 2.0), "hps": marks}
    [[found]] = objects(outputs, values, labels=("face",))
    assert found["landmarks"] == [{"x": 28, "y": 16}, {"x": 20, "y": 18}]


@given(seed=st.integers(0, 2**16))
def test_every_peak_is_found_and_nothing_else(seed):
    heat = np.random.default_rng(seed).normal(0, 2, (2, 2, 5, 7)).astype(np.float32)
    reader = Centres(("hm", Output(decode="heatmap")), ("wh", Output(decode="sizes")), None, None)
    values = {"hm": heat, "wh": np.ones((2, 2, 5, 7), np.float32)}
    read = reader.read(values, [PLAIN] * 2, 0.6)
    wanted = set()
    for item, label, y, x in np.ndindex(heat.shape):
        near = heat[item, label, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        score = 1 / (1 + np.exp(-float(heat[item, label, y, x])))
        if heat[item, label, y, x] == near.max() and score >= 0.6:
            wanted.add((item, label, y, x))
    centres = (read.boxes[:, :2] + read.boxes[:, 2:]) / 2
    found = {
        (int(row), int(label), round(y / (64 / 5)), round(x / (64 / 7)))
        for row, label, (x, y) in zip(read.rows, read.labels, centres, strict=True)
    }
    assert found == wanted


def test_maps_of_different_sizes_are_refused(objects):
    values = {
        "hm": np.zeros((1, 3, 16, 16)),
        "wh": np.zeros((1, 2, 8, 8)),
        "reg": np.zeros((1, 2, 16, 16)),
    }
    with pytest.raises(ModelError, match=r"'wh' has shape \(1, 2, 8, 8\); the heat map"):
        objects(OUTPUTS, values, threshold=0.4)
