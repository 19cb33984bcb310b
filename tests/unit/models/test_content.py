"""Files that are not what their names say, and files that must not be opened."""

import json
import os
import pickle
import struct
import zipfile

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ModelError
from streamer.models.content import outside
from streamer.models.files import looked_at, main_file
from streamer.models.weights import refuse_nan

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (POINTER, "git-lfs's pointer to the model: run git lfs pull"),
        (b"\n<!DOCTYPE html><html>not found</html>", "is a web page, not a model"),
        (b"<html lang=en>", "is a web page, not a model"),
        (pickle.dumps({"weight": 1}), "is a pickle, not an ONNX graph: to load one is to run code"),
        (b"PK\x03\x04rest", "is a zip archive, not an ONNX graph: archives are not unpacked"),
        (b"\x1f\x8b\x08rest", "is a gzip archive"),
        (b"\0" * 257 + b"ustar\0", "is a tar archive"),
        (b"\x89HDF\r\n", "is a Keras file"),
        (b"GGUF\x03", "is a GGUF file"),
    ],
)
def test_a_file_that_belies_its_name_is_refused_with_what_it_is(tmp_path, content, said):
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        outside(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.bin"])
def test_a_kind_that_cannot_be_run_is_told_those_that_can(tmp_path, name):
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"no such model can be run; known are \.onnx"):
        outside(tmp_path / name)


def archive(file, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in entries.items():
            written.writestr(name, content)
    return file


def test_a_pickle_in_a_pt_is_refused_whole_or_in_its_archive(tmp_path):
    archive(tmp_path / "new.pt", {"net/data.pkl": pickle.dumps({}), "net/version": "3"})
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"weight": 1}, protocol=2))
    for name in ("new.pt", "old.pt"):
        with pytest.raises(ModelError, match="is a pickle"):
            outside(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_zip_bomb_is_not_opened(tmp_path, suffix):
    zeros = b"\0" * 2**27
    bomb = archive(tmp_path / f"a{suffix}", {"a/data/0": zeros}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**20
    with pytest.raises(ModelError, match="is no model but a zip bomb"):
        outside(bomb)


def test_entries_that_overlap_are_a_zip_bomb_too(tmp_path):
    file = archive(tmp_path / "a.pt", {"a/0": os.urandom(5000), "a/1": os.urandom(5000)})
    content = file.read_bytes()
    # the second entry is the first one again, and as long as the archive
    sizes = content.rindex(b"PK\x01\x02") + 20
    offset = sizes + 22
    length = struct.pack("<II", len(content), len(content))
    content = (
        content[:sizes] + length + content[sizes + 8 : offset] + bytes(4) + content[offset + 4 :]
    )
    file.write_bytes(content)
    with zipfile.ZipFile(file) as opened:
        assert [entry.header_offset for entry in opened.infolist()] == [0, 0]
    with pytest.raises(ModelError, match="its entries overlap"):
        outside(file)


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "net/../../x"])
def test_entries_that_lead_out_of_their_archive_are_refused(tmp_path, name):
    file = archive(tmp_path / "a.pt", {name: b"x"})
    with pytest.raises(ModelError, match="leads out of it"):
        outside(file)


def torchscript(file, source, module="Net"):
    head = b"\x80\x02c__torch__\n" + module.encode() + b"\nq\x00)\x81}."
    parts = {"data.pkl": head, "constants.pkl": b"\x80\x02).", "code/__torch__.py": source}
    return archive(file, {f"net/{name}": content for name, content in parts.items()})


def test_the_arguments_of_torchscript_are_read_off_its_source(tmp_path):
    source = (
        "class Part(Module):\n  def forward(self: __torch__.Part,\n    x: Tensor) -> Tensor:\n"
        "    return x\nclass Net(Module):\n  def forward(self: __torch__.Net,\n"
        "    input_ids: Tensor,\n    mask: Optional[Tensor]=None) -> Tensor:\n    return mask\n"
    )
    graph = outside(torchscript(tmp_path / "a.pt", source))
    assert [tensor.name for tensor in graph.inputs] == ["input_ids", "mask"]


def test_the_outside_of_an_exported_program_is_read(tmp_path):
    sides = [{"as_expr": {"expr_str": "s0"}}, {"as_int": 4}]
    program = {
        "graph_module": {
            "graph": {
                "tensor_values": {
                    "x": {"dtype": 7, "sizes": sides},
                    "linear": {"dtype": 7, "sizes": sides},
                }
            },
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "w"}, "parameter_name": "w"}},
                    {"user_input": {"arg": {"as_tensor": {"name": "x"}}}},
                ],
                "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "linear"}}}}],
            },
            "module_call_graph": [
                {
                    "fqn": "",
                    "signature": {
                        "out_spec": '[1, {"type": "builtins.dict", "context": "[\\"logits\\"]"}]'
                    },
                }
            ],
        }
    }
    file = archive(tmp_path / "a.pt2", {"m/models/model.json": json.dumps(program)})
    graph = outside(file)
    assert str(graph.inputs[0]) == "'x' float32 [N,4]"
    assert str(graph.outputs[0]) == "'logits' float32 [N,4]"


def safetensors(file, header, data):
    written = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(written)) + written + data)
    return file


def weights(values, kind):
    data = np.asarray(values).tobytes()
    header = {"w": {"dtype": kind, "shape": [len(values)], "data_offsets": [0, len(data)]}}
    return header, data


def test_safetensors_that_were_cut_off_say_so(tmp_path):
    header, data = weights(np.ones(8, np.float32), "F32")
    whole = safetensors(tmp_path / "model.safetensors", header, data)
    assert outside(whole).inputs == ()
    whole.write_bytes(whole.read_bytes()[:-4])
    with pytest.raises(ModelError, match="is only a part of itself"):
        outside(whole)
    whole.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ModelError, match="is no safetensors file"):
        outside(whole)


def test_parts_of_safetensors_must_be_beside_their_index(tmp_path):
    header, data = weights(np.ones(8, np.float32), "F32")
    safetensors(tmp_path / "model-1.safetensors", header, data)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "model-1.safetensors"}}))
    assert main_file(tmp_path) == index
    assert outside(index).outputs == ()
    for part in ("model-2.safetensors", "../model-1.safetensors"):
        index.write_text(json.dumps({"weight_map": {"w": part}}))
        with pytest.raises(ModelError, match="that is not beside it"):
            outside(index)


@pytest.mark.parametrize(
    ("values", "kind", "bad"),
    [
        (np.array([1, np.nan], np.float32), "F32", True),
        (np.array([1, -np.inf], np.float32), "F32", False),
        (np.array([1, np.nan], np.float16), "F16", True),
        (np.array([0x3F80, 0x7FC0], np.uint16), "BF16", True),
        (np.array([0x3F80, 0xFF80], np.uint16), "BF16", False),
        (np.array([1, -1], np.int64), "I64", False),
    ],
)
def test_nan_in_safetensors_is_found_and_infinity_let_pass(tmp_path, values, kind, bad):
    file = safetensors(tmp_path / "model.safetensors", *weights(values, kind))
    if bad:
        with pytest.raises(ModelError, match="the weight 'w' holds NaN"):
            refuse_nan(file)
    else:
        refuse_nan(file)


@pytest.mark.parametrize("stored", ["inside", "as numbers", "beside"])
def test_nan_in_an_onnx_file_s_weights_is_found_wherever_they_are(tmp_path, write_onnx, stored):
    values = np.array([[0.0, np.nan], [0.0, 0.0]], np.float32)
    weight = numpy_helper.from_array(values, "weight")
    if stored == "as numbers":
        weight = helper.make_tensor("weight", onnx.TensorProto.FLOAT, [2, 2], values.ravel())
    elif stored == "beside":
        (tmp_path / "w.bin").write_bytes(b"\0" * 16 + values.tobytes())
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, said in (("location", "w.bin"), ("offset", "16"), ("length", "16")):
            weight.external_data.add(key=key, value=said)
    file = write_onnx(
        tmp_path / "a.onnx",
        {"x": ("float32", [None, 2])},
        {"y": ("float32", [None, 2])},
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        initializers=[weight],
    )
    with pytest.raises(ModelError, match="the weight 'weight' holds NaN"):
        looked_at(file)


def test_a_link_out_of_the_folder_is_refused_except_into_the_hub_s_own_blobs(tmp_path, write_onnx):
    def model(folder, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(np.ones(4, np.float32).tobytes())
        weight = numpy_helper.from_array(np.ones((2, 2), np.float32), "weight")
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="w.bin")
        file = write_onnx(
            folder / "model.onnx",
            {"x": ("float32", [None, 2])},
            {"y": ("float32", [None, 2])},
            [helper.make_node("MatMul", ["x", "weight"], ["y"])],
            initializers=[weight],
        )
        (folder / "w.bin").symlink_to(target)
        return file

    repository = tmp_path / "models--org--net"
    looked_at(model(repository / "snapshots" / ("0" * 40), repository / "blobs" / ("1" * 64)))
    with pytest.raises(ModelError, match="a link that leads outside its directory"):
        looked_at(model(tmp_path / "net", tmp_path / "secrets"))
