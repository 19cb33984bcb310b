"""Torch's files, made here: what is run answers as Torch does."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.torch_files import IMAGE, Net, version
from torch import nn

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.infer import Tuning, check_fit, open_session
from streamer.infer.fusing import Front
from streamer.models.fused import fusion_of
from streamer.preprocess import preprocessor_for
from streamer.records import Image

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
]


def pictures(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(count, 3, 8, 8)).astype(np.float32)


def expected(items: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        logits: np.ndarray[Any, Any] = Net().eval()(torch.from_numpy(items))[0].numpy()
    return logits


@pytest.mark.parametrize("name", ["model.pt", "scripted.ts", "model.pt2"])
def test_a_file_of_torch_answers_as_its_module(files, name):
    built = version(files / name)
    session = open_session(built, device="cpu")
    check_fit(built, session)
    assert (session.device, session.provider, session.max_batch) == ("cpu", "Torch", None)
    for count in (1, 2, 5):
        values = session.run({"pixels": pictures(count)})
        assert list(values) == ["logits"]
        np.testing.assert_allclose(values["logits"], expected(pictures(count)), atol=1e-6)
    session.close()
    with pytest.raises(ModelError, match="the session is closed"):
        session.run({"pixels": pictures(1)})


def test_a_process_of_its_own_answers_the_same(files):
    session = open_session(version(files / "model.pt"), device="cpu", isolation="process")
    try:
        values = session.run({"pixels": pictures(3)})
        np.testing.assert_allclose(values["logits"], expected(pictures(3)), atol=1e-6)
    finally:
        session.close()


def test_the_worker_alone_loads_the_framework(files):
    built = version(files / "model.pt")
    script = (
        "import sys; from pathlib import Path; from streamer.infer import open_session;"
        "from streamer.models import Manifest, Version;"
        "file, manifest = Path(sys.argv[1]), Manifest.model_validate_json(sys.argv[2]);"
        "session = open_session(Version(file.parent, manifest, file), isolation='process');"
        "session.close(); print({'torch', 'onnxruntime', 'tensorflow'} & set(sys.modules))"
    )
    asked = [sys.executable, "-c", script, str(built.file), built.manifest.model_dump_json()]
    run = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert run.stdout.strip() == "set()"


def test_the_types_and_sides_of_an_export_are_its_own(files):
    session = open_session(version(files / "model.pt2"), device="cpu")
    assert str(session.inputs["pixels"]) == "'pixels' float32 [N,3,8,8]"


def test_a_batch_that_an_export_fixes_is_filled(files, tmp_path):
    torch.export.save(
        torch.export.export(Net().eval(), (torch.zeros(2, 3, 8, 8),)), tmp_path / "m.pt2"
    )
    session = open_session(version(tmp_path / "m.pt2"), device="cpu")
    assert session.max_batch == 2
    values = session.run({"pixels": pictures(5)})
    np.testing.assert_allclose(values["logits"], expected(pictures(5)), atol=1e-6)


@pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")),
    reason="platform: Torch needs a C++ compiler to compile a model",
)
def test_a_compiled_model_answers_the_same(files):
    session = open_session(version(files / "model.pt2"), device="cpu", tuning=Tuning(compile=True))
    values = session.run({"pixels": pictures(3)})
    np.testing.assert_allclose(values["logits"], expected(pictures(3)), atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"logits": {"decode": "logits"}}, "1 named, but forward gives 2 without names"),
        ({}, "has none of the outputs"),
    ],
)
def test_outputs_without_names_are_all_named_in_their_order(files, outputs, said):
    built = version(files / "model.pt", outputs=outputs)
    with pytest.raises(ModelError, match=said):
        check_fit(built, open_session(built, device="cpu"))


def test_outputs_may_be_named_by_their_numbers(files):
    built = version(files / "model.pt", outputs={"output_1": {"decode": "embedding"}})
    values = open_session(built, device="cpu").run({"pixels": pictures(2)})
    with torch.inference_mode():
        wanted = Net().eval()(torch.from_numpy(pictures(2)))[1].numpy()
    np.testing.assert_allclose(values["output_1"], wanted, atol=1e-6)


def test_an_argument_that_there_is_not_is_said_with_those_there_are(tmp_path):
    class Two(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left + right

    torch.jit.save(torch.jit.script(Two()), tmp_path / "model.pt")
    built = version(
        tmp_path / "model.pt",
        inputs={"left": IMAGE, "rigth": {"kind": "constant", "value": [0]}},
        outputs={"logits": {"decode": "logits"}},
    )
    with pytest.raises(ModelError, match="forward takes left, right, but no 'rigth'"):
        open_session(built, device="cpu")


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_a_gpu_that_is_named_is_never_replaced(files, name):
    if torch.cuda.is_available():
        pytest.skip("gpu: this machine has one")
    with pytest.raises(ModelError, match="device cuda:0: Torch cannot use CUDA: "):
        open_session(version(files / name), device="cuda:0")
    assert open_session(version(files / name), device="auto").device == "cpu"


def test_memory_that_runs_out_is_told_from_a_batch_that_fails(tmp_path):
    class Large(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            if pixels.size(0) > 2:
                return torch.zeros(1 << 50)
            return pixels.sum((1, 2, 3)).reshape(-1, 1)

    torch.jit.save(torch.jit.script(Large()), tmp_path / "model.pt")
    built = version(tmp_path / "model.pt", outputs={"logits": {"decode": "logits"}})
    session = open_session(built, device="cpu")
    with pytest.raises(RecordError) as caught:
        session.run({"pixels": pictures(3)})
    assert caught.value.reason == "out-of-memory"


def test_a_native_crash_at_two_items_is_survived_in_a_process_of_its_own(tmp_path):
    class Crashing(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            if pixels.size(0) > 1:
                return torch.ops.aten.max_pool2d_with_indices_backward(
                    pixels,
                    torch.zeros([2, 3, 16, 16]),
                    [2, 2],
                    [2, 2],
                    [0, 0],
                    [1, 1],
                    ceil_mode=False,
                    indices=torch.full([2, 3, 8, 8], 1 << 40),  # writes far outside of its memory
                )
            return pixels.sum((2, 3))

    torch.jit.save(torch.jit.script(Crashing()), tmp_path / "model.pt")
    built = version(tmp_path / "model.pt", outputs={"logits": {"decode": "logits"}})
    session = open_session(built, device="cpu", isolation="process")
    try:
        check_fit(built, session)
        assert session.max_batch == 1
        one = session.run({"pixels": pictures(1)})["logits"]
        np.testing.assert_allclose(one, pictures(1).sum((2, 3)), rtol=1e-4)
        with pytest.raises(RecordError, match="died: SIGSEGV"):
            session.run({"pixels": pictures(2)})
        np.testing.assert_array_equal(session.run({"pixels": pictures(1)})["logits"], one)
    finally:
        session.close()


def test_torch_and_tensorflow_do_not_meet_in_one_process(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with pytest.raises(ConfigError, match="isolation: process"):
        open_session(version(files / "model.pt"), device="cpu")


@pytest.mark.parametrize("name", ["model.pt", "scripted.ts", "model.pt2"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_pictures_that_enter_as_bytes_are_answered_alike(files, name, channels):
    spec = {**IMAGE, "channels": channels, "rescale_factor": 1 / 255}
    spec |= {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
    given = version(files / name, inputs={"pixels": spec})
    scenes = [
        Image(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8))
        for seed in range(3)
    ]
    answers = []
    for fuse in (False, True):
        session = open_session(given, device="cpu", tuning=Tuning(fuse=fuse))
        check_fit(given, session)
        preprocessor = preprocessor_for(session.manifest, given.folder)
        feeds = preprocessor.collate([part for [part] in preprocessor.prepare(scenes)])
        assert (feeds["pixels"].dtype == np.uint8) is fuse
        answers.append(session.run(feeds)["logits"])
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=1e-4)
    assert np.ptp(answers[0]) > 0.01


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR", "GRAY"])
def test_the_front_makes_what_the_cpu_makes(channels, layout, dtype):
    grey = channels == "GRAY"
    spec = {**IMAGE, "channels": channels, "layout": layout, "dtype": dtype}
    spec |= {"rescale_factor": 1 / 255, "image_mean": (0.5,) if grey else (0.4, 0.5, 0.6)}
    manifest = version(Path("m.pt"), inputs={"pixels": spec}).manifest
    fusion = fusion_of(manifest)
    scene = Image(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    made = []
    for told in (manifest, fusion.manifest):
        preprocessor = preprocessor_for(told, Path())
        made.append(preprocessor.collate(preprocessor.prepare([scene])[0])["pixels"])
    values = Front(torch, fusion, "cpu")(torch.from_numpy(made[1])).numpy()
    assert values.dtype == made[0].dtype
    assert values.shape == made[0].shape
    np.testing.assert_allclose(values.astype(float), made[0].astype(float), rtol=0, atol=1e-4)
