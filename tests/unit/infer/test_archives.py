"""Torch's archives, looked at without Torch: what could run code or touch files is refused."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from streamer.errors import ModelError
from streamer.infer.archives import vet_exported, vet_torchscript

SCRIPT = {
    "model/constants.pkl": b"\x80\x02).",
    "model/data.pkl": b"\x80\x02).",
    "model/code/__torch__.py": b"class Net(Module):\n"
    b"  def forward(self: Net, x: Tensor) -> Tensor:\n    return torch.add(x, x)\n",
}
PROGRAM: dict[str, Any] = {
    "graph_module": {
        "graph": {
            "nodes": [
                {"target": "torch.ops.aten.add.Tensor", "inputs": []},
                {"target": "_operator.mul", "inputs": []},
                {"target": "torch.sym_int", "inputs": []},
            ],
            "sizes": {"expr_str": "Mul(Integer(24), Symbol('s53', positive=True, integer=True))"},
            "more": {"expr_str": "Max(1, 2*s77 - FloorDiv(s53, 4)) + TruncToInt(Float('0.5'))"},
        },
        "out": json.dumps({"type": "transformers.modeling_outputs.BaseModelOutputWithPooling"}),
    }
}


def archive(folder: Path, name: str, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / name, "w") as written:
        for entry, content in entries.items():
            written.writestr(entry, content)
    return folder / name


def exported(folder: Path, program: Any, **parts: bytes) -> Path:
    entries = {"model/models/model.json": json.dumps(program).encode()}
    return archive(folder, "model.pt2", entries | {f"model/data/{k}": v for k, v in parts.items()})


def test_what_torch_writes_passes(tmp_path):
    vet_torchscript(archive(tmp_path, "model.pt", SCRIPT))
    assert vet_exported(exported(tmp_path, PROGRAM)) == {"transformers.modeling_outputs"}


@pytest.mark.parametrize(
    "line",
    [
        'torch.save(x, "/tmp/x")',
        'ops.aten.save(x, "/tmp/x")',
        'torch.from_file("/etc/hostname", False, 4)',
        'ops.aten.from_file("/etc/hostname", False, 4)',
    ],
)
def test_a_script_that_touches_files_is_refused(tmp_path, line):
    code = SCRIPT["model/code/__torch__.py"].replace(b"torch.add(x, x)", line.encode())
    file = archive(tmp_path, "model.pt", SCRIPT | {"model/code/__torch__.py": code})
    with pytest.raises(ModelError, match="reads or writes files when it runs"):
        vet_torchscript(file)


def test_a_method_that_is_called_save_is_none_of_that(tmp_path):
    code = SCRIPT["model/code/__torch__.py"].replace(b"torch.add(x, x)", b"(self).save(x, )")
    vet_torchscript(archive(tmp_path, "model.pt", SCRIPT | {"model/code/__torch__.py": code}))


@pytest.mark.parametrize(
    "target",
    ["torch.hub.load", "torch.load", "torch.ops.aten.from_file.default", "_operator.x.y", "#ext.f"],
)
def test_a_program_that_calls_what_is_no_operator_is_refused(tmp_path, target):
    program = {"graph_module": {"graph": {"nodes": [{"target": target}]}}}
    with pytest.raises(ModelError, match=f"calls {target}"):
        vet_exported(exported(tmp_path, program))


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "exec(chr(112))",
        "Symbol('s0').__class__",
        "[s0 for s0 in (1,)]",
        "open('/etc/hostname')",
        "(lambda: 1)()",
        "s0; s1",
    ],
)
def test_an_expression_that_is_more_than_arithmetic_is_refused(tmp_path, expression):
    program = {"sizes": [{"expr_str": expression}]}
    with pytest.raises(ModelError, match="holds an expression that no export writes"):
        vet_exported(exported(tmp_path, program))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("weights/model.pt", "is a pickle"),
        ("constants/custom_obj_0", "is a pickle"),
        ("constants/opaque_obj_0", "is a pickle"),
        ("aotinductor/model/model.so", "holds machine code"),
    ],
)
def test_a_part_that_could_run_code_is_refused(tmp_path, part, said):
    with pytest.raises(ModelError, match=said):
        vet_exported(exported(tmp_path, PROGRAM, **{part: b"\x80\x02."}))
