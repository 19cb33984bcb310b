"""TensorFlow's and LiteRT's files, made here: answers as TensorFlow's own, quantised ones too."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from streamer.errors import ConfigError, ModelError
from streamer.infer import Tuning, check_fit, open_session
from streamer.models import Manifest, Version, load_version
from streamer.postprocess import interpreter_for
from streamer.preprocess import preprocessor_for
from streamer.records import Text

pytestmark = pytest.mark.tensorflow
IMAGE = {"kind": "image", "layout": "NHWC", "size": {"height": 8, "width": 8}}


class Net(tf.Module):
    """Labels of a picture, and what they are made of."""

    def __init__(self) -> None:
        super().__init__()
        chance = np.random.default_rng(0)
        self.kernel = tf.Variable(chance.normal(size=(3, 3, 3, 4)).astype(np.float32) / 4)
        self.head = tf.Variable(chance.normal(size=(4, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")])
    def __call__(self, image: Any) -> dict[str, Any]:
        states = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, "SAME")), [1, 2])
        return {"logits": tf.matmul(states, self.head), "states": states}


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


@pytest.fixture(scope="module")
def saved(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tf.saved_model.save(net, str(folder), signatures={"serving_default": net.__call__})
    return folder


@pytest.fixture(scope="module")
def frozen(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    function = convert_variables_to_constants_v2(net.__call__.get_concrete_function())
    file = tmp_path_factory.mktemp("frozen") / "model.pb"
    file.write_bytes(function.graph.as_graph_def().SerializeToString())
    return file


def version(file: Path, **manifest: Any) -> Version:
    described = {
        "name": "net",
        "task": "image-classification",
        "inputs": {"image": IMAGE},
        "outputs": {"logits": {"decode": "logits"}},
        **manifest,
    }
    return Version(folder=file.parent, manifest=Manifest.model_validate(described), file=file)


def pictures(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(count, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_saved_model_answers_by_its_signature(net, saved, isolation):
    built = version(saved / "saved_model.pb")
    session = open_session(built, device="cpu", isolation=isolation)
    try:
        check_fit(built, session)
        assert (session.device, session.provider, session.max_batch) == ("cpu", "TensorFlow", None)
        assert str(session.inputs["image"]) == "'image' float32 [N,8,8,3]"
        for count in (1, 3, 8):
            values = session.run({"image": pictures(count)})
            assert list(values) == ["logits"]
            wanted = net(tf.constant(pictures(count)))["logits"].numpy()
            np.testing.assert_allclose(values["logits"], wanted, atol=1e-6)
    finally:
        session.close()


@pytest.mark.parametrize("given", ["image", "image:0"])
def test_a_frozen_graph_answers_by_the_names_of_its_tensors(net, frozen, given):
    inner = "Relu:0"
    built = version(
        frozen,
        inputs={given: IMAGE},
        outputs={"Identity": {"decode": "logits"}, inner: {"decode": "ignore"}},
    )
    session = open_session(built, device="cpu")
    check_fit(built, session)
    values = session.run({given: pictures(3)})
    wanted = net(tf.constant(pictures(3)))["logits"].numpy()
    np.testing.assert_allclose(values["Identity"], wanted, atol=1e-6)
    # any tensor between the two ends can be read, as ML.NET's featurisers do
    middle = version(
        frozen,
        inputs={given: IMAGE},
        outputs={"Mean:0": {"decode": "embedding"}},
        task="image-classification",
    )
    states = open_session(middle, device="cpu").run({given: pictures(3)})["Mean:0"]
    np.testing.assert_allclose(states, net(tf.constant(pictures(3)))["states"].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        (
            {"picture": IMAGE},
            {"Identity": {"decode": "logits"}},
            "inputs: .* 'picture'; .* image:0",
        ),
        (
            {"image": IMAGE},
            {"softmax": {"decode": "logits"}},
            "outputs: .* 'softmax'; .* Identity:0",
        ),
    ],
)
def test_a_tensor_that_there_is_not_is_said_with_those_there_are(frozen, inputs, outputs, said):
    with pytest.raises(ModelError, match=said):
        open_session(version(frozen, inputs=inputs, outputs=outputs), device="cpu")


def test_a_frozen_graph_of_words_answers_by_a_dictionary_as_ml_net_s_sentiment_model(tmp_path):
    chance = np.random.default_rng(3)
    table = chance.normal(size=(8, 5)).astype(np.float32)
    table[0] = 0
    head = chance.normal(size=(5, 2)).astype(np.float32) * 4
    with tf.Graph().as_default() as graph:
        features = tf.compat.v1.placeholder(tf.int32, [None, 600], "Features")
        states = tf.reduce_sum(tf.gather(tf.constant(table), features), 1)
        tf.nn.softmax(tf.matmul(states, tf.constant(head)), name="Prediction/Softmax")
        with tf.compat.v1.Session(graph=graph) as session:
            frozen = session.graph_def.SerializeToString()
            ids = np.zeros((2, 600), np.int32)
            ids[0, :4] = [1, 2, 0, 3]  # "dull" is no word of the dictionary
            ids[1, :2] = [4, 5]
            wanted = session.run("Prediction/Softmax:0", {"Features:0": ids})
    folder = tmp_path / "sentiment"
    folder.mkdir()
    (folder / "model.pb").write_bytes(frozen)
    (folder / "imdb_word_index.csv").write_text("the,1\nfilm,2\nwas,3\ngreat,4\nfun,5\n")
    manifest = {
        "name": "sentiment",
        "task": "text-classification",
        "id2label": ["negative", "positive"],
        "inputs": {
            "text": {
                "kind": "text",
                "tokenizer": "imdb_word_index.csv",
                "max_length": 600,
                "padding": "max_length",
                "dtype": "int32",
                "tensors": {"Features": "ids"},
            }
        },
        "outputs": {"Prediction/Softmax": {"decode": "probabilities"}},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
    built = load_version("sentiment", beside=tmp_path, models_dir=tmp_path)
    session = open_session(built, device="cpu")
    check_fit(built, session)
    preprocessor = preprocessor_for(built.manifest, folder)
    prepared = preprocessor.prepare([Text("the film dull was"), Text("great fun")])
    inputs = [part for parts in prepared for part in parts]
    outputs = session.run(preprocessor.collate(inputs))
    answers = interpreter_for(built.manifest, "text-classification").interpret(outputs, inputs)
    for answer, row in zip(answers, wanted, strict=True):
        assert answer[0]["label"] == manifest["id2label"][row.argmax()]
        assert answer[0]["score"] == pytest.approx(float(row.max()), abs=1e-6)
    assert abs(wanted[0, 0] - wanted[1, 0]) > 0.05


def test_texts_go_into_string_tensors_and_come_out(tmp_path):
    class Upper(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text: Any) -> dict[str, Any]:
            return {"label": tf.strings.upper(text)}

    module = Upper()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    built = version(
        tmp_path / "saved_model.pb",
        task="text-classification",
        inputs={"text": {"kind": "text", "tensors": {"text": "string"}}},
        outputs={"label": {"decode": "label"}},
    )
    session = open_session(built, device="cpu")
    values = session.run({"text": np.array(["good", "bad"], dtype=object)})
    assert list(values["label"]) == ["GOOD", "BAD"]


def test_a_graph_that_touches_files_or_runs_python_is_refused(tmp_path):
    class Reading(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")])
        def __call__(self, image: Any) -> dict[str, Any]:
            size = tf.strings.length(tf.io.read_file("/etc/hostname"))
            return {"logits": tf.reduce_sum(image, [1, 2, 3]) + tf.cast(size, tf.float32)}

    module = Reading()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    with pytest.raises(ModelError, match=r"does ReadFile .* which no model needs"):
        open_session(version(tmp_path / "saved_model.pb"), device="cpu")


def test_a_damaged_file_is_refused_with_the_reason(saved, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"garbage" * 9)
    (tmp_path / "model.pb").write_bytes(b"garbage" * 9)
    for name in ("saved_model.pb", "model.pb"):
        with pytest.raises(ModelError, match=str(tmp_path)):
            open_session(version(tmp_path / name), device="cpu")


def test_a_gpu_that_is_named_is_never_replaced(saved):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("gpu: this machine has one")
    with pytest.raises(ModelError, match="device cuda:0: this TensorFlow finds no GPU"):
        open_session(version(saved / "saved_model.pb"), device="cuda:0")
    assert open_session(version(saved / "saved_model.pb"), device="auto").device == "cpu"


def converted(saved: Path, file: Path, *, quantised: str | None = None) -> Path:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if quantised is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one[None]] for one in pictures(50))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        kind = getattr(tf, quantised)
        converter.inference_input_type = converter.inference_output_type = kind
    file.write_bytes(converter.convert())
    return file


TFLITE = pytest.mark.filterwarnings("ignore")


@TFLITE
@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_tflite_file_answers_in_any_batch(net, saved, tmp_path, isolation):
    built = version(converted(saved, tmp_path / "model.tflite"))
    session = open_session(built, device="cpu", threads=2, isolation=isolation)
    try:
        check_fit(built, session)
        assert (session.provider, session.max_batch) == ("LiteRT", None)
        for count in (1, 3, 8, 2):
            wanted = net(tf.constant(pictures(count)))["logits"].numpy()
            values = session.run({"image": pictures(count)})
            np.testing.assert_allclose(values["logits"], wanted, atol=1e-5)
    finally:
        session.close()


@TFLITE
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_quantised_tflite_file_takes_and_gives_numbers_or_its_own_type(
    net, saved, tmp_path, kind
):
    file = converted(saved, tmp_path / "model.tflite", quantised=kind)
    floats = open_session(version(file), device="cpu")
    assert (floats.inputs["image"].dtype, floats.outputs["logits"].dtype) == ("float32", "float32")
    wanted = net(tf.constant(pictures(2)))["logits"].numpy()
    values = floats.run({"image": pictures(2)})["logits"]
    assert np.abs(values - wanted).max() < 0.1
    scale, zero = floats._told["logits"]["quantization"]
    raw = open_session(
        version(
            file,
            inputs={"image": {**IMAGE, "dtype": kind}},
            outputs={"logits": {"decode": "logits", "scale": scale, "zero_point": zero}},
        ),
        device="cpu",
    )
    assert (raw.inputs["image"].dtype, raw.outputs["logits"].dtype) == (kind, kind)
    given_scale, given_zero = floats._given["image"]["quantization"]
    limits = np.iinfo(kind)
    stored = np.clip(np.round(pictures(2) / given_scale) + given_zero, limits.min, limits.max)
    told = raw.run({"image": stored.astype(kind)})["logits"]
    assert told.dtype == np.dtype(kind)
    np.testing.assert_allclose((told.astype(np.float32) - zero) * scale, values, atol=1e-6)


@TFLITE
def test_tflite_runs_on_the_cpu_only_and_in_its_own_precision(saved, tmp_path):
    built = version(converted(saved, tmp_path / "model.tflite"))
    with pytest.raises(ModelError, match=r"device cuda:0: \.tflite models run on the CPU"):
        open_session(built, device="cuda:0")
    with pytest.raises(ModelError, match="precision"):
        open_session(built, tuning=Tuning(precision="fp16"))
    built.file.write_bytes(built.file.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(built, device="cpu")


def test_tensorflow_and_torch_do_not_meet_in_one_process(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", object())
    with pytest.raises(ConfigError, match="isolation: process"):
        open_session(version(saved / "saved_model.pb"), device="cpu")
