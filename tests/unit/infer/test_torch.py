"""Torch's files, made here: what is run answers as Torch does, what could run code is refused."""

import gc
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.infer import Session, Tuning, check_fit, open_session
from streamer.infer.fusing import Front
from streamer.infer.pretrained import load_pretrained
from streamer.infer.torch import _SHARED
from streamer.models import Manifest, Version
from streamer.models.fused import fusion_of
from streamer.preprocess import preprocessor_for
from streamer.records import Image

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
]
IMAGE = {"kind": "image", "size": {"height": 8, "width": 8}}
HERE = Path(tempfile.gettempdir()) / "streamer-was-here"
TOKENS = {
    "kind": "text",
    "max_length": 16,
    "tensors": {"input_ids": "ids", "attention_mask": "mask"},
}


class Net(nn.Module):
    """Two outputs of a picture, one of them not by the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.conv(pixels).mean((2, 3))
        return self.head(states), states


def version(file: Path, **manifest: Any) -> Version:
    described = {
        "name": "net",
        "task": "image-classification",
        "inputs": {"pixels": IMAGE},
        "outputs": {"logits": {"decode": "logits"}, "states": {"decode": "ignore"}},
        **manifest,
    }
    return Version(folder=file.parent, manifest=Manifest.model_validate(described), file=file)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    net = Net().eval()
    example = torch.zeros(2, 3, 8, 8)
    torch.jit.save(torch.jit.trace(net, example), folder / "model.pt")
    torch.jit.save(torch.jit.script(net), folder / "scripted.ts")
    free = {"pixels": {0: torch.export.Dim("batch")}}
    torch.export.save(
        torch.export.export(net, (example,), dynamic_shapes=free), folder / "model.pt2"
    )
    return folder


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


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (HERE,))


def rewritten(source: Path, target: Path, name: str, change: Any) -> Path:
    """Copy an archive with one part changed, or added."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        parts = {entry: read.read(entry) for entry in read.namelist()}
        [match] = [entry for entry in parts if entry.endswith(name)] or [f"model/{name}"]
        parts[match] = change(parts.get(match, b""))
        for entry, content in parts.items():
            write.writestr(entry, content)
    return target


def test_pickles_are_never_opened(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(torch, "load", lambda *given, **named: opened.append(given))
    monkeypatch.setattr(torch.jit, "load", lambda *given, **named: opened.append(given))
    torch.save(Evil(), tmp_path / "zipped.pt")
    torch.save(Net().state_dict(), tmp_path / "weights.pt")
    torch.save(Evil(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("zipped", "weights", "old"):
        with pytest.raises(ModelError, match=r"is a pickle.* (?:run any|is to run) code"):
            open_session(version(tmp_path / f"{name}.pt"), device="cpu")
    assert opened == []


def test_an_archive_that_unpacks_to_many_times_its_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for part in range(8):
            bomb.writestr(f"model/data/{part}", bytes(32 * 2**20))
    with pytest.raises(ModelError, match="zip bomb"):
        open_session(version(tmp_path / "model.pt"), device="cpu")


def test_a_script_that_touches_files_is_refused(tmp_path):
    class Reading(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.from_file("/etc/hostname", size=4, dtype=torch.uint8) + pixels

    torch.jit.save(torch.jit.script(Reading()), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="reads or writes files when it runs"):
        open_session(version(tmp_path / "model.pt"), device="cpu")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        (
            "weights/model_weights_config.json",
            lambda text: text.replace(b'"use_pickle": false', b'"use_pickle": true'),
            "is a pickle, which may run code",
        ),
        ("data/weights/model.pt", lambda _: b"\x80\x02.", "is a pickle, which may run code"),
        ("data/constants/opaque_obj_0", lambda _: b"\x80\x02.", "is a pickle"),
        ("data/aotinductor/model/a.so", lambda _: b"\x7fELF", "holds machine code"),
        (
            "models/model.json",
            lambda text: text.replace(b"torch.ops.aten.mean.dim", b"torch.hub.load"),
            "calls torch.hub.load, which is no operator",
        ),
        (
            "models/model.json",
            lambda text: text.replace(b"positive=True", b"positive=exec(chr(112))"),
            "holds an expression that no export writes",
        ),
    ],
    ids=["weights", "old-weights", "object", "machine-code", "function", "expression"],
)
def test_an_export_with_parts_that_could_run_code_is_refused(files, tmp_path, part, change, said):
    file = rewritten(files / "model.pt2", tmp_path / "model.pt2", part, change)
    with pytest.raises(ModelError, match=said):
        open_session(version(file), device="cpu")


def test_sample_inputs_of_an_export_are_never_unpickled(files, tmp_path):
    written = io.BytesIO()
    torch.save(Evil(), written)
    part = "sample_inputs/model.pt"
    file = rewritten(files / "model.pt2", tmp_path / "m.pt2", part, lambda _: written.getvalue())
    with pytest.raises(
        ModelError, match=r"sample_inputs/model\.pt is a pickle of more than tensors"
    ):
        open_session(version(file), device="cpu")
    assert not HERE.exists()


def test_a_file_under_the_other_format_s_name_is_said(files, tmp_path):
    shutil.copy(files / "model.pt", tmp_path / "script.pt2")
    shutil.copy(files / "model.pt2", tmp_path / "export.pt")
    with pytest.raises(ModelError, match=r"is TorchScript: name it script\.pt"):
        open_session(version(tmp_path / "script.pt2"), device="cpu")
    with pytest.raises(ModelError, match=r"torch\.export: name it export\.pt2"):
        open_session(version(tmp_path / "export.pt"), device="cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def folder_version(folder: Path, **manifest: Any) -> Version:
    described = {
        "name": "bert",
        "task": "text-classification",
        "inputs": {"text": {**TOKENS, "tokenizer": "tokenizer.json"}},
        "outputs": {"logits": {"decode": "logits"}},
        **manifest,
    }
    file = folder / "model.safetensors"
    return Version(folder=folder, manifest=Manifest.model_validate(described), file=file)


def tokens(count: int = 3, length: int = 7) -> dict[str, np.ndarray[Any, Any]]:
    ids = np.random.default_rng(2).integers(1, 50, (count, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def logits_of(session: Session) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = session.run(tokens())["logits"]
    return values


def test_a_hugging_face_folder_answers_as_transformers_does(bert):
    built = folder_version(bert)
    session = open_session(built, device="cpu")
    check_fit(built, session)
    module = transformers.BertForSequenceClassification.from_pretrained(bert).eval()
    with torch.inference_mode():
        wanted = module(**{name: torch.from_numpy(array) for name, array in tokens().items()})
    np.testing.assert_allclose(logits_of(session), wanted.logits.numpy(), atol=1e-6)
    assert load_pretrained(built).config._attn_implementation == "sdpa"


def test_an_exported_folder_answers_by_the_names_of_its_outputs(bert, tmp_path):
    module = transformers.BertForSequenceClassification.from_pretrained(bert).eval()
    given = {name: torch.from_numpy(array) for name, array in tokens().items()}
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2, max=512)}
    program = torch.export.export(module, (), given, dynamic_shapes=dict.fromkeys(given, free))
    torch.export.save(program, tmp_path / "model.pt2")
    # a process of its own has not imported the class of what the model returns
    built = folder_version(bert)
    built = Version(tmp_path, built.manifest, tmp_path / "model.pt2")
    session = open_session(built, device="cpu", isolation="process")
    try:
        assert session.max_batch is None
        wanted = logits_of(open_session(folder_version(bert), device="cpu"))
        np.testing.assert_allclose(logits_of(session), wanted, atol=1e-6)
    finally:
        session.close()


@pytest.mark.parametrize(("precision", "close"), [("bf16", 0.05), ("fp16", 0.01)])
def test_a_folder_runs_in_the_precision_that_is_asked_for(bert, precision, close):
    whole = logits_of(open_session(folder_version(bert), device="cpu"))
    half = logits_of(
        open_session(folder_version(bert), device="cpu", tuning=Tuning(precision=precision))
    )
    assert half.dtype == np.float32
    assert 0 < np.abs(whole - half).max() < close


def test_sessions_of_one_folder_share_its_weights_until_the_last_is_closed(bert):
    built = folder_version(bert)
    first, second = (open_session(built, device="cpu") for _ in range(2))
    [module] = [held for key, held in _SHARED.items() if key[0] == built.file]
    alone = logits_of(first)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(lambda session: [logits_of(session) for _ in range(20)], (first, second))
        )
    assert all(np.array_equal(alone, one) for runs in both for one in runs)
    del module
    first.close()
    second.close()
    gc.collect()
    assert not [key for key in _SHARED if key[0] == built.file]


def test_weights_that_are_not_there_are_not_made_up(bert):
    built = folder_version(bert, task="token-classification")
    with pytest.raises(ModelError, match=r"lacks weights .* trained for another task"):
        load_pretrained(built, "AutoModelForQuestionAnswering")


def test_code_of_a_folder_s_own_is_never_run(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "own.Own"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelError, match=r"brings code of its own .* never run"):
        open_session(folder_version(folder), device="cpu")


def test_pytorch_model_bin_is_read_only_where_that_is_allowed(bert, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(bert / "config.json", folder)
    module = transformers.BertForSequenceClassification.from_pretrained(bert)
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    built = folder_version(folder)
    built = Version(built.folder, built.manifest, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"is a pickle; save the weights as safetensors .* allow_bin: true"
    ):
        open_session(built, device="cpu")
    allowed = open_session(built, device="cpu", tuning=Tuning(allow_bin=True))
    np.testing.assert_allclose(
        logits_of(allowed), logits_of(open_session(folder_version(bert), device="cpu")), atol=1e-6
    )
    torch.save({"bert.pooler.dense.bias": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        open_session(built, device="cpu", tuning=Tuning(allow_bin=True))
    assert not HERE.exists()


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
