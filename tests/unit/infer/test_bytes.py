"""Pictures as bytes reach the graph byte by byte."""

import numpy as np
from onnx import helper, numpy_helper

from streamer.infer import check_fit, open_session
from streamer.infer.shared import Arena

# zeros inside, at the end, and what is no UTF-8
PICTURES = (b"\xff\xd8\xff\x00abc\x00\x00", b"\x89PNG\x00\xfe", b"\xff\xd8\xff\x00abc\x00\x01")


def test_strings_of_bytes_are_not_taken_for_texts(version):
    node = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["known"],
        domain="ai.onnx.ml",
        keys_strings=[PICTURES[0], PICTURES[1]],
        values_floats=[0.25, 0.75],
        default_float=0.5,
    )
    shape = numpy_helper.from_array(np.array([-1, 1], np.int64), "shape")
    built = version(
        {"x": ("string", ["N"])},
        {"y": ("float32", ["N", 1])},
        [node, helper.make_node("Reshape", ["known", "shape"], ["y"])],
        initializers=[shape],
        inputs={"x": {"kind": "image-bytes"}},
        outputs={"y": {"decode": "probabilities"}},
        domains={"ai.onnx.ml": 2},
    )
    session = open_session(built, device="cpu")
    check_fit(built, session)
    alone = [
        float(session.run({"x": np.array([value], dtype=object)})["y"][0, 0]) for value in PICTURES
    ]
    assert alone == [0.25, 0.75, 0.5]


def test_the_bytes_of_one_picture_are_no_batch(version):
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=1),
        helper.make_node("ReduceMax", ["floats"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "share"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["y"]),
    ]
    built = version(
        {"x": ("uint8", ["bytes"])},
        {"y": ("float32", [1, 1])},
        nodes,
        initializers=[
            numpy_helper.from_array(np.array([1, 1], np.int64), "shape"),
            numpy_helper.from_array(np.float32(1 / 255), "share"),
        ],
        inputs={"x": {"kind": "image-bytes", "dtype": "uint8"}},
        outputs={"y": {"decode": "probabilities"}},
    )
    session = open_session(built, device="cpu")
    check_fit(built, session)
    assert session.max_batch == 1
    given = np.frombuffer(bytes([3, 51, 0, 7]), np.uint8)
    assert session.run({"x": given})["y"].tolist() == [
        [float(np.float32(51 * np.float32(1 / 255)))]
    ]


def test_bytes_stay_bytes_between_processes():
    arena = Arena()
    specs = arena.write({"x": np.array(list(PICTURES), dtype=object)})
    assert arena.read(specs)["x"].tolist() == list(PICTURES)
    arena.close()
