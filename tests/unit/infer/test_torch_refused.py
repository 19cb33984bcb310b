"""Torch's files, made here: what could run code is refused before it is opened."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from support.torch_files import HERE, Evil, Net, version
from torch import nn

from streamer.errors import ModelError
from streamer.infer import open_session

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
]


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
