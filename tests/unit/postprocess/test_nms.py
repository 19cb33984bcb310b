import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.models.manifest import Nms
from streamer.postprocess import nms as module
from streamer.postprocess.nms import kept


def plain(boxes, scores, labels, nms, limit):
    """Choose boxes one by one, as the books have it."""

    def iou(one, other):
        sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
        common = max(sides[0], 0) * max(sides[1], 0)
        areas = [max(b[2] - b[0], 0) * max(b[3] - b[1], 0) for b in (one, other)]
        whole = sum(areas) - common
        return common / whole if whole > 0 else 0

    chosen = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if len(chosen) < limit and not any(
            (labels[index] == labels[better] or not nms.per_class)
            and iou(boxes[better], boxes[index]) > nms.iou
            for better in chosen
        ):
            chosen.append(index)
    return chosen


@st.composite
def candidates(draw):
    count = draw(st.integers(0, 40))
    # coordinates in eighths are exact in float32: both ways see the same overlaps
    side = st.integers(0, 64).map(lambda eighths: eighths / 8)
    boxes = [
        (x, y, x + w, y + h)
        for x, y, w, h in draw(
            st.lists(st.tuples(side, side, side, side), min_size=count, max_size=count)
        )
    ]
    scores = draw(
        st.lists(st.sampled_from([0.3, 0.5, 0.5, 0.9, 1.0]), min_size=count, max_size=count)
    )
    labels = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
    )


@given(
    found=candidates(),
    nms=st.builds(Nms, iou=st.sampled_from([0.3, 0.45, 1.0]), per_class=st.booleans()),
    limit=st.integers(1, 50),
    block=st.integers(1, 9),
)
def test_blocks_choose_what_a_plain_loop_chooses(found, nms, limit, block):
    before, module._BLOCK = module._BLOCK, block
    try:
        chosen = kept(*found, nms, limit).tolist()
    finally:
        module._BLOCK = before
    assert chosen == plain(*found, nms, limit)


@pytest.mark.parametrize("count", [1, 200, 1500])
def test_opencv_chooses_the_same(count):
    rng = np.random.default_rng(count)
    begins = rng.uniform(0, 300, (count, 2))
    sides = rng.uniform(4, 80, (count, 2))
    boxes = np.concatenate([begins, begins + sides], axis=1).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32) / count
    labels = rng.integers(0, 3, count)
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    expected = cv2.dnn.NMSBoxesBatched(rectangles, scores, labels.astype(np.int32), -1.0, 0.45)
    chosen = kept(boxes, scores, labels, Nms(), 10**6)
    # OpenCV moves the labels apart by an offset, which costs float32 a little of its precision
    assert len(set(chosen.tolist()) ^ set(np.ravel(expected).tolist())) <= count // 100


def test_nothing_comes_of_nothing():
    empty = np.empty(0, np.float32)
    assert kept(empty.reshape(0, 4), empty, empty.astype(np.int64), Nms(), 10).tolist() == []
