"""Bound tensors: tried with the CPU's memory in the GPU's place."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ModelError
from streamer.infer import Tuning, open_session
from streamer.infer.binding import Bound, Replayed, replays
from streamer.infer.pinned import Buffers

CPU = ("cpu", 0)
IMAGE = {"kind": "image", "size": {"height": 2, "width": 2}}
SUM = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
AXES = [numpy_helper.from_array(np.array([1, 2, 3]), "axes")]


def opened(version, batch=None, sides=(2, 2), **manifest):
    """Open a model that sums up the values of each picture."""
    built = version(
        {"x": ("float32", [batch, 3, *sides])},
        {"y": ("float32", [batch])},
        SUM,
        initializers=AXES,
        inputs={"x": IMAGE},
        outputs={"y": {"decode": "score"}},
        **manifest,
    )
    return open_session(built, device="cpu")


def bound(session):
    session._runner = Bound(session._session, CPU, session.outputs)
    return session._runner


def pictures(count, add=0):
    return np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2) + add


def test_bound_outputs_are_those_of_a_plain_run(version):
    session = opened(version)
    plain = [session.run({"x": pictures(count)})["y"] for count in (3, 1, 50, 2)]
    bound(session)
    for count, wanted in zip((3, 1, 50, 2), plain, strict=True):
        np.testing.assert_array_equal(session.run({"x": pictures(count)})["y"], wanted)


def test_inputs_lie_in_the_memory_of_the_batch_before(version):
    session = opened(version)
    runner = bound(session)
    for count in (1, 7, 3):
        session.run({"x": pictures(count)})
    assert len(runner._spare) == 1
    [kept] = runner._spare[0]._kept.values()
    session.run({"x": pictures(5)})
    assert runner._spare[0]._kept["x"] is kept


def test_a_batch_that_fails_gives_its_memory_back(version):
    session = opened(version)
    runner = bound(session)
    for _ in range(3):
        with pytest.raises(Exception, match="Invalid rank for input"):
            runner.run({"x": np.zeros((1, 2), np.float32)}, ["y"])
    assert len(runner._spare) == 1


def test_threads_have_memory_of_their_own(version):
    session = opened(version)
    runner = bound(session)
    wanted = {add: pictures(4, add).sum(axis=(1, 2, 3)) for add in range(40)}
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda add: (add, session.run({"x": pictures(4, add)})["y"]), wanted)
        for add, sums in found:
            np.testing.assert_array_equal(sums, wanted[add])
    assert 1 <= len(runner._spare) <= 2


def test_texts_come_from_the_cpu(version):
    built = version(
        {"t": ("string", ["N"])},
        {"y": ("string", ["N"])},
        [helper.make_node("Identity", ["t"], ["y"])],
        inputs={"text": {"kind": "text", "tensors": {"t": "string"}}},
        outputs={"y": {"decode": "label"}},
    )
    session = open_session(built, device="cpu")
    bound(session)
    assert session.run({"t": np.array(["a", "b"], object)})["y"].tolist() == ["a", "b"]


def test_a_replayed_session_answers_as_a_plain_one(version):
    session = opened(version, batch=4)
    plain = session.run({"x": pictures(9)})["y"]
    outputs = dict(session.outputs)
    raw = session._session
    session._runner = Replayed(onnxruntime, raw, CPU, session.inputs, outputs, 4)
    first = session.run({"x": pictures(9)})["y"]
    again = session.run({"x": pictures(9, 100)})["y"]
    np.testing.assert_array_equal(first, plain)  # not overwritten by the run after it
    np.testing.assert_array_equal(again, pictures(9, 100).sum(axis=(1, 2, 3)))


def test_a_free_batch_can_be_fixed_for_replaying(version):
    session = opened(version)
    tensors = session.inputs, session.outputs
    runner = Replayed(onnxruntime, session._session, CPU, *tensors, 4)
    sums = runner.run({"x": pictures(4)}, ["y"])["y"]
    np.testing.assert_array_equal(sums, pictures(4).sum(axis=(1, 2, 3)))


@pytest.mark.parametrize(("sides", "size"), [((None, 2), 4), ((2, 2), None)])
def test_what_varies_is_not_replayed(version, sides, size):
    session = opened(version, sides=sides)
    with pytest.raises(ModelError, match=r"enable_cuda_graph .*'x' float32 \[N,3,.*varies; export"):
        Replayed(onnxruntime, session._session, CPU, session.inputs, session.outputs, size)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, False),
        ({"enable_cuda_graph": "1"}, True),
        ({"enable_cuda_graph": "0"}, False),
        ({"trt_cuda_graph_enable": "true"}, True),
    ],
)
def test_replaying_is_the_topologys_choice(options, wanted):
    assert replays(Tuning(provider_options=options)) is wanted


class Driver:
    """Stands for CUDA's driver: notes what is pinned."""

    def __init__(self, failing=None):
        self.failing = failing
        self.pinned = {}

    def __getattr__(self, name):
        return lambda *_: 2 if name == self.failing else 0

    def cuMemHostRegister_v2(self, address, size, flags):  # noqa: N802 - CUDA's name
        if self.failing == "register":
            return 2
        self.pinned[address.value] = size.value
        return 0

    def cuMemHostUnregister(self, address):  # noqa: N802 - CUDA's name
        del self.pinned[address.value]
        return 0


def test_memory_is_pinned_once_and_let_go_with_the_buffers():
    driver = Driver()
    buffers = Buffers(0, driver)
    for length in (10, 1000, 500):
        array = np.arange(length, dtype=np.int64)
        view = buffers.filled("ids", array)
        np.testing.assert_array_equal(view, array)
        assert view.ctypes.data in driver.pinned
    assert list(driver.pinned.values()) == [2**16]
    view = buffers.filled("ids", np.zeros(10**5, np.int64))
    gc.collect()
    assert list(driver.pinned.values()) == [2**20]
    del buffers
    gc.collect()
    assert driver.pinned  # what is looked at stays
    del view
    gc.collect()
    assert not driver.pinned


@pytest.mark.parametrize("failing", ["cuInit", "cuDevicePrimaryCtxRetain", "register"])
def test_memory_that_cannot_be_pinned_is_used_as_it_is(failing):
    driver = Driver(failing)
    array = np.ones((3, 4), np.float16)
    np.testing.assert_array_equal(Buffers(0, driver).filled("x", array), array)
    assert not driver.pinned


def test_an_empty_array_has_its_place():
    assert Buffers(None).filled("x", np.zeros((0, 3), np.float32)).shape == (0, 3)
