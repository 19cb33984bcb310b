"""What TensorFlow's files and `.tflite` tell of themselves."""

import json
import struct
import zipfile

import pytest
import yaml

from streamer.errors import ModelError
from streamer.models import load_version
from streamer.models.graph import Tensor
from streamer.models.tensorflow import read_tensorflow
from streamer.models.tflite import read_tflite

ASSETS = "image-classification"


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def put(field, value):
    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def shape(*sides):
    return b"".join(put(2, put(1, side if side >= 0 else 2**64 + side)) for side in sides)


def entry(key, value):
    return put(1, key) + put(2, value)


def signature(inputs, outputs):
    def tensors(field, tensors_):
        return b"".join(
            put(field, entry(name, put(1, f"{name}:0") + put(2, 1) + put(3, shape(*sides))))
            for name, sides in tensors_.items()
        )

    return tensors(1, inputs) + tensors(2, outputs)


def saved_model(folder, **signatures):
    graph = b"".join(put(5, entry(name, given)) for name, given in signatures.items())
    (folder / "saved_model.pb").write_bytes(put(1, 1) + put(2, graph))
    return folder / "saved_model.pb"


def test_the_signature_that_serves_is_read(tmp_path):
    served = signature({"image": (-1, 8, 8, 3)}, {"logits": (-1, 4)})
    other = signature({"x": (1,)}, {"y": (1,)})
    file = saved_model(tmp_path, train=other, serving_default=served, __saved_model_init_op=b"")
    graph = read_tensorflow(file)
    assert graph.inputs == (Tensor("image", "float32", (None, 8, 8, 3)),)
    assert graph.outputs == (Tensor("logits", "float32", (None, 4)),)


def test_the_only_other_signature_is_not_taken_for_the_one_that_serves_if_there_are_two(tmp_path):
    other = signature({"x": (1,)}, {"y": (1,)})
    with pytest.raises(ModelError, match="its signatures are a, b"):
        read_tensorflow(saved_model(tmp_path, a=other, b=other))
    with pytest.raises(ModelError, match="it has no signature"):
        read_tensorflow(saved_model(tmp_path))


def node(name, kind, *inputs, **attributes):
    content = put(1, name) + put(2, kind) + b"".join(put(3, given) for given in inputs)
    return put(1, content + b"".join(put(5, entry(k, v)) for k, v in attributes.items()))


def test_a_frozen_graph_s_ends_are_read(tmp_path):
    file = tmp_path / "model.pb"
    file.write_bytes(
        node("ids", "Placeholder", dtype=put(6, 3), shape=put(7, shape(-1, 600)))
        + node("table", "Const")
        + node("rows", "GatherV2", "table", "ids")
        + node("ready", "NoOp", "^rows")
        + node("softmax", "Softmax", "rows:0")
    )
    graph = read_tensorflow(file)
    assert graph.inputs == (Tensor("ids:0", "int32", (None, 600)),)
    assert [tensor.name for tensor in graph.outputs] == ["softmax:0"]


@pytest.mark.parametrize("content", [b"\xff" * 40, b"not a graph at all", b"\x0a\x02\x0a\x00"])
def test_what_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "model.pb").write_bytes(content)
    with pytest.raises(ModelError, match="is no TensorFlow graph"):
        read_tensorflow(tmp_path / "model.pb")


class Builder:
    """A flat buffer written from its end to its beginning would be short; this one is plain."""

    def __init__(self):
        self.content = bytearray(b"\0\0\0\0TFL3")

    def table(self, fields):
        """Write a table; values are ready bytes, or a function that gives a reference's target."""
        offsets, body = [], bytearray()
        for number in range(max(fields) + 1):
            if number in fields:
                offsets.append(4 + len(body))
                body += b"\0\0\0\0" if callable(fields[number]) else fields[number]
            else:
                offsets.append(0)
        begin = len(self.content)
        self.content += struct.pack(
            f"<HH{len(offsets)}H", 4 + 2 * len(offsets), 4 + len(body), *offsets
        )
        at = len(self.content)
        self.content += struct.pack("<i", at - begin) + body
        for number, value in fields.items():
            if callable(value):
                place = at + offsets[number]
                target = value()
                self.content[place : place + 4] = struct.pack("<I", target - place)
        return at

    def vector(self, code, values):
        at = len(self.content)
        self.content += struct.pack(f"<I{len(values)}{code}", len(values), *values)
        return at

    def references(self, targets):
        at = len(self.content)
        self.content += struct.pack("<I", len(targets)) + b"\0" * 4 * len(targets)
        for number, target in enumerate(targets):
            place = at + 4 + 4 * number
            made = target()
            self.content[place : place + 4] = struct.pack("<I", made - place)
        return at


def tflite(file, *, sides=(1, 4), kind=3, named=()):
    """Write a model of three tensors; `named`: what its one signature calls the first and last."""
    built = Builder()

    def tensor(name, kind, sides, scale=None, zero=0):
        def quantised():
            return built.table(
                {2: lambda: built.vector("f", [scale]), 3: lambda: built.vector("q", [zero])}
            )

        fields = {
            0: lambda: built.vector("i", sides),
            1: struct.pack("<i", kind),
            3: lambda: built.vector("B", name.encode()),
        }
        return lambda: built.table(fields | ({4: quantised} if scale else {}))

    def graph():
        tensors = [
            tensor("pixels", 3, [1, 32, 32, 3], 0.0078125, 128),
            tensor("weights", 9, [4, 4]),
            tensor("scores", kind, sides, 0.00390625 if kind == 3 else None),
        ]
        return built.table(
            {
                0: lambda: built.references(tensors),
                1: lambda: built.vector("i", [0]),
                2: lambda: built.vector("i", [2]),
            }
        )

    def called(name, index):
        fields = {0: lambda: built.vector("B", name.encode()), 1: struct.pack("<I", index)}
        return lambda: built.references([lambda: built.table(fields)])

    def signature():
        return built.table({0: called(named[0], 0), 1: called(named[1], 2)})

    fields = {0: struct.pack("<I", 3), 2: lambda: built.references([graph])}
    if named:
        fields[7] = lambda: built.references([signature])
    root = built.table(fields)
    built.content[:4] = struct.pack("<I", root)
    file.write_bytes(built.content)
    return file


def test_a_tflite_s_tensors_are_read_with_their_quantisation(tmp_path):
    graph = read_tflite(tflite(tmp_path / "a.tflite"))
    assert graph.inputs == (Tensor("pixels", "uint8", (1, 32, 32, 3), 0.0078125, 128),)
    assert graph.outputs == (Tensor("scores", "uint8", (1, 4), 0.00390625, 0),)


def test_labels_packed_behind_a_tflite_are_read(tmp_path):
    file = tflite(tmp_path / "a.tflite")
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr("labels.txt", "cat\ndog\ncow\nhen\n")
    assert read_tflite(file).class_labels == ("cat", "dog", "cow", "hen")


def test_a_tflite_s_tensors_have_the_names_of_its_one_signature(tmp_path):
    graph = read_tflite(tflite(tmp_path / "a.tflite", named=("images", "output_0")))
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["images", "output_0"]


@pytest.mark.parametrize("name", ["metadata.json", "temp_meta.txt"])
def test_ultralytics_notes_behind_a_tflite_say_all_that_is_needed(tmp_path, name):
    file = tflite(tmp_path / "farm.tflite", sides=[1, 7, 21], kind=0)
    told = {"task": "detect", "imgsz": [32, 32], "stride": 32}
    names = {0: "cat", 1: "dog", 2: "cow"}
    written = (
        json.dumps({**told, "names": names})
        if name.endswith("json")
        else repr({**told, "names": names})
    )
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr(name, written)
    manifest = load_version(str(file), beside=tmp_path, models_dir=tmp_path).manifest
    image = manifest.inputs["pixels"]
    assert (image.layout, image.dtype, image.resize_rule) == ("NHWC", "float32", "letterbox")
    assert manifest.id2label == names
    output = manifest.outputs["scores"]
    assert (output.decode, output.normalized) == ("yolov8", True)


def test_notes_beside_a_saved_model_of_ultralytics_are_read(tmp_path):
    file = saved_model(
        tmp_path, serving_default=signature({"images": (1, 32, 32, 3)}, {"output_0": (1, 7, 21)})
    )
    notes = {"task": "detect", "imgsz": [32, 32], "stride": 32, "names": {0: "a", 1: "b", 2: "c"}}
    (tmp_path / "metadata.yaml").write_text(yaml.safe_dump(notes))
    manifest = load_version(str(file), beside=tmp_path, models_dir=tmp_path).manifest
    assert manifest.outputs["output_0"].decode == "yolov8"
    assert not manifest.outputs["output_0"].normalized
    assert manifest.id2label[2] == "c"


def test_a_cut_or_foreign_tflite_is_refused(tmp_path):
    file = tflite(tmp_path / "a.tflite")
    content = file.read_bytes()
    for cut in range(0, len(content), 7):
        file.write_bytes(content[:cut])
        try:
            read_tflite(file)
        except ModelError:
            continue
        assert cut > len(content) // 2, "less than half a model was read without a word"


def test_the_outsides_of_real_files_are_read(assets):
    folder = assets / ASSETS
    frozen = read_tensorflow(folder / "mobilenet_v1_025_128_tf_frozen" / "model.pb")
    assert [str(t) for t in frozen.inputs] == ["'image:0' float32 [N,128,128,3]"]
    assert [t.name for t in frozen.outputs] == ["Identity:0"]
    saved = read_tensorflow(folder / "mobilenet_v1_025_128_tf_savedmodel" / "saved_model.pb")
    assert str(saved.outputs[0]) == "'logits' float32 [N,1001]"
