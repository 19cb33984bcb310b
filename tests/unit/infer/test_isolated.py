import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Timer

import numpy as np
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ModelError, RecordError
from streamer.infer import open_session
from streamer.infer.isolated import IsolatedSession
from streamer.infer.session import OutOfMemoryError
from streamer.models import Version

MakeVersion = Callable[..., Version]


@pytest.fixture
def slow_version(version: MakeVersion) -> Version:
    """A graph that loops as often as it is told, so that it can be killed while it runs."""
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("MatMul", ["held", "held"], ["squared"]),
            helper.make_node("Tanh", ["squared"], ["next"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("held", 1, [256, 256]),
        ],
        [
            helper.make_tensor_value_info("go_on", 9, []),
            helper.make_tensor_value_info("next", 1, [256, 256]),
        ],
    )
    nodes = [
        helper.make_node("Squeeze", ["turns"], ["count"]),
        helper.make_node("Loop", ["count", "yes", "start"], ["end"], body=turn),
        helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
        helper.make_node("Reshape", ["sum", "shape"], ["score"]),
    ]
    start = np.random.default_rng(0).normal(0, 0.1, (256, 256)).astype(np.float32)
    initializers = [
        numpy_helper.from_array(np.array([True])[0], "yes"),
        numpy_helper.from_array(start, "start"),
        numpy_helper.from_array(np.array([1, 1]), "shape"),
    ]
    return version(
        {"turns": ("int64", [1])},
        {"score": ("float32", [1, 1])},
        nodes,
        initializers=initializers,
        task="sentence-similarity",
        inputs={"text": {"kind": "text", "tensors": {"turns": "ids"}}},
        outputs={"score": {"decode": "score"}},
    )


@pytest.fixture
def isolated(slow_version: Version) -> Iterator[IsolatedSession]:
    session = open_session(slow_version, device="cpu", threads=1, isolation="process")
    assert isinstance(session, IsolatedSession)
    yield session
    session.close()


def test_it_answers_as_the_session_in_process_does(
    isolated: IsolatedSession, slow_version: Version
) -> None:
    within = open_session(slow_version, device="cpu")
    feeds = {"turns": np.array([3])}
    assert isolated.inputs == within.inputs
    assert isolated.provider == within.provider
    np.testing.assert_array_equal(isolated.run(feeds)["score"], within.run(feeds)["score"])


def test_a_worker_that_dies_costs_the_batch_and_the_next_one_is_answered(
    isolated: IsolatedSession,
) -> None:
    Timer(0.3, isolated._worker.kill).start()
    with pytest.raises(RecordError, match="died: SIGKILL") as caught:
        isolated.run({"turns": np.array([2_000_000])})
    assert caught.value.reason == "crashed"
    assert isolated.run({"turns": np.array([1])})["score"].shape == (1, 1)


def test_a_batch_that_shared_memory_does_not_hold_is_told_and_not_died_of(
    isolated: IsolatedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutOfMemoryError, match=r"no 16 MiB left .* --shm-size"):
        isolated.run({"turns": np.zeros(2**21, np.int64)})
    monkeypatch.undo()
    assert isolated.run({"turns": np.array([1])})["score"].shape == (1, 1)


def test_a_model_that_cannot_be_loaded_is_refused_as_in_process(slow_version: Version) -> None:
    slow_version.file.write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(slow_version, device="cpu", isolation="process")


def test_what_cannot_be_run_is_an_error_of_the_batch(isolated: IsolatedSession) -> None:
    with pytest.raises(RecordError, match="turns"):
        isolated.run({"turns": np.array(["three"], dtype=object)})
    assert isolated.run({"turns": np.array([1])})["score"].shape == (1, 1)


def test_the_worker_alone_loads_the_framework(version: MakeVersion) -> None:
    built = version(
        {"x": ("float32", ["N", 3, 2, 2])},
        {"y": ("float32", ["N"])},
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        initializers=[numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
        inputs={"x": {"kind": "image", "size": {"height": 2, "width": 2}}},
        outputs={"y": {"decode": "score"}},
    )
    script = (
        "import sys; from pathlib import Path; from streamer.infer import open_session;"
        "from streamer.models import Manifest, Version;"
        "file, manifest = Path(sys.argv[1]), Manifest.model_validate_json(sys.argv[2]);"
        "session = open_session(Version(file.parent, manifest, file), isolation='process');"
        "session.close(); print('onnxruntime' in sys.modules)"
    )
    asked = [sys.executable, "-c", script, str(built.file), built.manifest.model_dump_json()]
    run = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert run.stdout.strip() == "False"
