"""Rows with everything: whichever columns they have."""

import numpy as np
import pytest

from streamer.errors import ConfigError, RecordError


def test_a_column_may_say_which_picture_a_row_is_of(told):
    """[M, 7]: YOLOv7 with its suppression in the graph."""
    values = np.array(
        [
            [1, 0, 0, 9, 9, 2, 0.9],
            [0, 10, 10, 20, 20, 1, 0.8],
            [1, 30, 30, 40, 40, 0, 0.4],
            [7, 0, 0, 9, 9, 2, 0.9],
        ],
        np.float32,
    )
    outputs = {"y": {"decode": "detections", "columns": ["image", "box", "label", "score"]}}
    assert told(outputs, {"y": values}, items=2) == [
        [("dog", 0.8, (10, 10, 20, 20))],
        [("cow", 0.9, (0, 0, 9, 9))],
    ]


def test_openvino_s_list_ends_with_minus_one(told):
    values = np.array(
        [[[[0, 1, 0.9, 0.25, 0.25, 0.5, 0.75], [-1, 0, 0, 0, 0, 0, 0], [0, 1, 0.8, 0, 0, 1, 1]]]],
        np.float32,
    )
    output = {
        "decode": "detections",
        "columns": ["image", "label", "score", "box"],
        "normalized": True,
    }
    rows = told({"y": output}, {"y": values}, items=1)
    assert rows == [[("dog", 0.9, (16, 16, 32, 48)), ("dog", 0.8, (0, 0, 64, 64))]]


def test_paddle_counts_the_rows_of_each_picture(told):
    values = np.array(
        [[0, 0.9, 1, 2, 3, 4], [2, 0.8, 5, 6, 7, 8], [1, 0.7, 9, 10, 11, 12]], np.float32
    )
    outputs = {
        "y": {"decode": "detections", "columns": ["label", "score", "box"]},
        "n": {"decode": "count"},
    }
    assert told(outputs, {"y": values, "n": np.array([1, 2], np.int32)}, items=2) == [
        [("cat", 0.9, (1, 2, 3, 4))],
        [("cow", 0.8, (5, 6, 7, 8)), ("dog", 0.7, (9, 10, 11, 12))],
    ]


def test_a_count_cuts_off_filling_of_equal_length(told):
    values = np.tile(np.array([0, 0, 9, 9, 0.9, 1], np.float32), (2, 3, 1))
    outputs = {"y": {"decode": "detections"}, "n": {"decode": "count"}}
    rows = told(outputs, {"y": values, "n": np.array([0, 2])}, items=2)
    assert [len(row) for row in rows] == [0, 2]


def test_a_row_that_is_no_number_harms_its_own_picture(objects):
    values = np.array([[0, 0, 0, 9, 9, 2, np.nan], [1, 0, 0, 9, 9, 2, 0.9]], np.float32)
    outputs = {"y": {"decode": "detections", "columns": ["image", "box", "label", "score"]}}
    first, second = objects(outputs, {"y": values}, items=2)
    assert isinstance(first, RecordError)
    assert len(second) == 1


@pytest.mark.parametrize("columns", [["box", "score"], ["box", "label", "label", "score"]])
def test_every_column_must_be_there_once(objects, columns):
    with pytest.raises(ConfigError, match=r"columns: label must stand in it once"):
        objects({"y": {"decode": "detections", "columns": columns}}, {"y": np.zeros((1, 1, 6))})
