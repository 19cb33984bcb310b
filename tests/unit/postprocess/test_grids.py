"""Raw grids with anchors, against the formulas of their papers, written out cell by cell."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streamer.errors import ConfigError, ModelError
from streamer.models.manifest import Output
from streamer.postprocess.grids import Anchored
from streamer.records import Geometry

ANCHORS = [[10, 14], [23, 27], [37, 58]]
PLAIN = Geometry((96, 128), (96, 128), 1.0, 1.0, 0.0, 0.0)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def cell_by_cell(grid, decode, stride, anchors, scale=1.0):
    """Decode [N, A, H, W, 5 + C] as the papers write it; boxes as centre and sides."""
    found = []
    for item, a, row, column in np.ndindex(grid.shape[:4]):
        tx, ty, tw, th, to, *classes = (float(value) for value in grid[item, a, row, column])
        width, height = anchors[a]
        if decode == "yolov5-raw":
            x = (column + 2 * sigmoid(tx) - 0.5) * stride
            y = (row + 2 * sigmoid(ty) - 0.5) * stride
            w, h = (2 * sigmoid(tw)) ** 2 * width, (2 * sigmoid(th)) ** 2 * height
        else:
            x = (column + scale * sigmoid(tx) - (scale - 1) / 2) * stride
            y = (row + scale * sigmoid(ty) - (scale - 1) / 2) * stride
            unit = stride if decode == "yolov2" else 1
            w, h = math.exp(tw) * width * unit, math.exp(th) * height * unit
        if decode == "yolov2":
            total = sum(math.exp(value) for value in classes)
            shares = [math.exp(value) / total for value in classes]
        else:
            shares = [sigmoid(value) for value in classes]
        score = sigmoid(to) * max(shares)
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        found.append((item, score, shares.index(max(shares)), box))
    return found


def laid_out(grid, order):
    """Bring [N, A, H, W, 5 + C] into another order of axes."""
    items, anchors, rows, columns, numbers = grid.shape
    if order == "NAHWC":
        return grid
    if order == "NHWAC":
        return grid.transpose(0, 2, 3, 1, 4)
    if order == "NHWC":
        return grid.transpose(0, 2, 3, 1, 4).reshape(items, rows, columns, -1)
    return grid.transpose(0, 1, 4, 2, 3).reshape(items, anchors * numbers, rows, columns)


@pytest.mark.parametrize("order", ["NCHW", "NHWC", "NAHWC", "NHWAC"])
@pytest.mark.parametrize("decode", ["yolov2", "yolov3", "yolov5-raw"])
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1.0, 1.2]))
def test_a_grid_is_read_as_its_paper_says(order, decode, seed, scale):
    scale = scale if decode == "yolov3" else 1.0
    grid = np.random.default_rng(seed).normal(0, 1.5, (2, 3, 6, 8, 8)).astype(np.float32)
    anchors = [[1.2, 0.7], [2.0, 3.1], [0.6, 0.5]] if decode == "yolov2" else ANCHORS
    output = Output(decode=decode, anchors=anchors, scale_xy=scale)
    read = Anchored([("y", output)], 3, "m").read({"y": laid_out(grid, order)}, [PLAIN] * 2, 0.4)
    found = cell_by_cell(grid, decode, 16, anchors, scale)
    assume(all(abs(score - 0.4) > 1e-6 for _, score, *_ in found))  # in 32 bits on one side, too
    wanted = [one for one in found if one[1] >= 0.4]
    assert len(read.rows) == len(wanted)
    if wanted:
        rows, scores, labels, boxes = (np.array(one) for one in zip(*wanted, strict=True))
        # scores may be alike to the last digit: each box is paired with the one nearest to it
        apart = np.abs(read.boxes[:, None] - boxes[None]).max(-1)
        at = np.where(read.rows[:, None] == rows[None], apart, np.inf).argmin(0)
        assert sorted(at) == list(range(len(wanted)))
        assert read.labels[at].tolist() == labels.tolist()
        np.testing.assert_allclose(read.scores[at], scores, rtol=1e-4)
        np.testing.assert_allclose(read.boxes[at], boxes, rtol=1e-3, atol=1e-3)


def test_levels_of_several_outputs_are_answered_together(told):
    fine, coarse = np.full((1, 8, 8, 8), -9.0), np.full((1, 8, 4, 4), -9.0)
    fine[0, :, 2, 3] = [0, 0, 0, 0, 4, 9, -9, -9]
    coarse[0, :, 1, 1] = [0, 0, 0, 0, 3, -9, 9, -9]
    outputs = {
        "fine": {"decode": "yolov3", "anchors": [[10, 6]]},
        "coarse": {"decode": "yolov3", "anchors": [[20, 20]]},
    }
    rows = told(outputs, {"fine": fine, "coarse": coarse})
    # (3.5, 2.5) * 8 with 10 x 6, and (1.5, 1.5) * 16 with 20 x 20
    assert rows == [[("cat", 0.982, (23, 17, 33, 23)), ("dog", 0.952, (14, 14, 34, 34))]]


def test_scores_that_went_through_the_sigmoid_are_left_alone(told):
    grid = np.zeros((1, 8, 4, 4), np.float32)
    grid[0, :, 1, 1] = [0, 0, 0, 0, 0.9, 0.8, 0.1, 0.1]
    outputs = {"y": {"decode": "yolov3", "anchors": [[20, 20]], "activation": "none"}}
    assert told(outputs, {"y": grid}) == [[("cat", 0.72, (14, 14, 34, 34))]]


def test_an_anchor_may_have_several_labels(told):
    grid = np.full((1, 8, 4, 4), -9.0)
    grid[0, :, 1, 1] = [0, 0, 0, 0, 9, 2, 1, -9]
    output = {"decode": "yolov3", "anchors": [[20, 20]]}
    assert [label for label, _, _ in told({"y": output}, {"y": grid})[0]] == ["cat"]
    several = {"y": {**output, "select": "pairs"}}
    assert [label for label, _, _ in told(several, {"y": grid})[0]] == ["cat", "dog"]


def test_a_grid_without_its_anchors_is_refused(objects):
    with pytest.raises(ConfigError, match=r"outputs.y: decode: yolov3 needs the anchors"):
        objects({"y": {"decode": "yolov3"}}, {"y": np.zeros((1, 8, 4, 4))})


@pytest.mark.parametrize("shape", [(1, 9, 4, 4), (1, 4, 4, 9), (1, 1, 4, 4, 9), (1, 2, 4, 4, 8)])
def test_a_shape_that_anchors_and_labels_do_not_make_is_refused(objects, shape):
    with pytest.raises(ModelError, match=r"no grid of 1 anchors with 5 \+ 3 numbers each"):
        objects({"y": {"decode": "yolov3", "anchors": [[20, 20]]}}, {"y": np.zeros(shape)})
