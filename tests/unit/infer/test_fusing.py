"""Pictures that enter as bytes: what the model is given is what the CPU would have made of them."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ConfigError, ModelError
from streamer.infer import Tuning, check_fit, open_session
from streamer.infer.fusing import fusion_for
from streamer.preprocess import preprocessor_for
from streamer.records import Image

SIZE = {"height": 6, "width": 10}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = {"rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": STD}
GREY = {"channels": "GRAY", "rescale_factor": 1 / 255, "image_mean": (0.5,), "image_std": (0.25,)}
RNG = np.random.default_rng(0)
SCENES = [
    Image(RNG.integers(0, 256, (height, width, 3), np.uint8))
    for height, width in ((6, 10), (40, 30), (12, 50))
]


def echoing(version, *, dtype="float32", layout="NCHW", channels="RGB", sides=(6, 10), **spec):
    """Build a model that gives what it is given."""
    planes = 1 if channels == "GRAY" else 3
    shape = [None, planes, *sides] if layout == "NCHW" else [None, *sides, planes]
    picture = {"kind": "image", "size": SIZE, "dtype": dtype, "layout": layout}
    return version(
        {"x": (dtype, shape)},
        {"y": (dtype, shape)},
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs={"x": {**picture, "channels": channels, **spec}},
        outputs={"y": {"decode": "raw"}},
    )


def given(built, fuse, isolation="none"):
    """Open a session and give what its model is given of the scenes, and the session."""
    tuning = Tuning(fuse=fuse)
    session = open_session(built, device="cpu", tuning=tuning, isolation=isolation)
    check_fit(built, session)
    preprocessor = preprocessor_for(session.manifest, built.folder)
    parts = [part for [part] in preprocessor.prepare(SCENES)]
    feeds = preprocessor.collate(parts)
    return session.run(feeds)["y"], feeds["x"], session


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "spec",
    [
        IMAGENET,
        IMAGENET | {"channels": "BGR"},
        GREY,
        {"channels": "BGR"},
        {"image_mean": (127,), "image_std": (128,), "resample": "pillow-bicubic"},
        {"resize": "letterbox", "pad": "center", "rescale_factor": 1 / 255},
    ],
    ids=["rgb", "bgr", "grey", "as-is", "one-figure", "letterbox"],
)
def test_a_fused_model_is_given_what_the_plain_one_is(version, spec, layout, dtype):
    built = echoing(version, layout=layout, dtype=dtype, **spec)
    plain, _, _ = given(built, fuse=False)
    fused, fed, session = given(built, fuse=True)
    assert fed.dtype == np.uint8
    assert fed.shape[1:3] == (6, 10)
    assert session.inputs["x"].dtype == "uint8"
    assert fused.dtype == plain.dtype == dtype
    assert fused.shape == plain.shape
    assert np.ptp(plain) > 1 / 255
    np.testing.assert_allclose(fused.astype(float), plain.astype(float), rtol=0, atol=1e-4)


def test_pictures_of_free_size_keep_theirs(version):
    built = echoing(version, sides=(None, None), resize="none", size={}, **IMAGENET)
    session = open_session(built, device="cpu", tuning=Tuning(fuse=True))
    assert str(session.inputs["x"]) == "'x' uint8 [N,?,?,3]"
    check_fit(built, session)
    preprocessor = preprocessor_for(session.manifest, built.folder)
    [[part]] = preprocessor.prepare([SCENES[1]])
    assert session.run(preprocessor.collate([part]))["y"].shape == (1, 3, 40, 30)


def test_a_picture_goes_in_without_a_copy(version):
    built = echoing(version, **IMAGENET)
    session = open_session(built, device="cpu", tuning=Tuning(fuse=True))
    preprocessor = preprocessor_for(session.manifest, built.folder)
    [[part]] = preprocessor.prepare(SCENES[:1])
    assert np.shares_memory(preprocessor.collate([part])["x"], SCENES[0].pixels)


def test_a_fixed_batch_stays_fixed(version):
    built = echoing(version, **IMAGENET)
    model = onnx.load(built.file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, built.file)
    plain, _, _ = given(built, fuse=False)
    fused, _, session = given(built, fuse=True)
    assert session.max_batch == 2
    np.testing.assert_allclose(fused, plain, rtol=0, atol=1e-4)


def test_graphs_within_the_graph_read_it_too(version):
    shape = [None, 3, 6, 10]
    branches = {
        name: helper.make_graph(
            [helper.make_node(kind, ["x"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)],
        )
        for name, kind in (("same", "Identity"), ("other", "Neg"))
    }
    built = version(
        {"x": ("float32", shape)},
        {"y": ("float32", shape)},
        [
            helper.make_node(
                "If", ["yes"], ["y"], then_branch=branches["same"], else_branch=branches["other"]
            )
        ],
        initializers=[numpy_helper.from_array(np.array(True), "yes")],  # noqa: FBT003
        inputs={"x": {"kind": "image", "size": SIZE, **IMAGENET}},
        outputs={"y": {"decode": "raw"}},
    )
    plain, _, _ = given(built, fuse=False)
    fused, _, _ = given(built, fuse=True)
    np.testing.assert_allclose(fused, plain, rtol=0, atol=1e-4)


def test_weights_beside_the_file_are_found(version):
    built = echoing(version, **IMAGENET)
    model = onnx.load(built.file)
    model.graph.node[0].CopyFrom(helper.make_node("Mul", ["x", "w"], ["y"]))
    weights = numpy_helper.from_array(RNG.normal(size=(3, 6, 10)).astype(np.float32), "w")
    model.graph.initializer.append(weights)
    onnx.save(model, built.file, save_as_external_data=True, size_threshold=0, location="w.bin")
    plain, _, _ = given(built, fuse=False)
    fused, _, _ = given(built, fuse=True)
    np.testing.assert_allclose(fused, plain, rtol=0, atol=1e-4)


def test_a_process_of_its_own_says_that_it_takes_bytes(version):
    built = echoing(version, **IMAGENET)
    plain, _, _ = given(built, fuse=False)
    fused, fed, session = given(built, fuse=True, isolation="process")
    try:
        assert fed.dtype == np.uint8
        np.testing.assert_allclose(fused, plain, rtol=0, atol=1e-4)
    finally:
        session.close()


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"dtype": "uint8"}, "takes uint8, which is stored as it is"),
        ({"dtype": "int8", "scale": 0.01}, "takes int8"),
        ({"size_divisor": 8}, "padded after they are normalised"),
        ({"pad_size": {"height": 8, "width": 16}}, "padded after they are normalised"),
        ({"mask": "m"}, "padded after they are normalised"),
        ({"resample": "tf-bilinear"}, "fractions of grey levels"),
    ],
)
def test_what_cannot_be_fused_is_left_alone_or_refused_where_it_is_asked_for(version, spec, why):
    built = echoing(version, **{"dtype": "float32", **spec} | {"dtype": "float32"})
    picture = built.manifest.inputs["x"].model_copy(update={"dtype": spec.get("dtype", "float32")})
    built = replace(built, manifest=built.manifest.model_copy(update={"inputs": {"x": picture}}))
    assert fusion_for(built, Tuning(), "cuda:0") is None
    with pytest.raises(ModelError, match=rf"fuse: true: inputs\.x: .*{why}.*; leave it out"):
        fusion_for(built, Tuning(fuse=True), "cuda:0")


def test_pictures_are_fused_on_gpus_and_texts_nowhere(version):
    built = echoing(version)
    assert fusion_for(built, Tuning(), "cpu") is None
    assert fusion_for(built, Tuning(), "cuda:1") is not None
    assert fusion_for(built, Tuning(fuse=False), "cuda:1") is None
    assert open_session(built, device="cpu").inputs["x"].dtype == "float32"
    text = {"kind": "text", "tensors": {"x": "string"}}
    other = built.manifest.model_validate({**built.manifest.model_dump(), "inputs": {"t": text}})
    assert fusion_for(replace(built, manifest=other), Tuning(), "cuda:0") is None


def test_without_the_package_onnx_it_is_said_where_it_is_asked_for(version, monkeypatch):
    built = echoing(version)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"fuse: true: it needs the package onnx: pip install"):
        open_session(built, device="cpu", tuning=Tuning(fuse=True))


def test_a_graph_too_old_to_be_put_behind_others_is_refused(version):
    built = echoing(version)
    model = onnx.load(built.file)
    model.opset_import[0].version = 6
    onnx.save(model, built.file)
    with pytest.raises(ModelError, match=r"fuse: true: .*opset 6 is too old"):
        open_session(built, device="cpu", tuning=Tuning(fuse=True))


def test_a_file_of_another_framework_is_refused(version):
    built = echoing(version)
    lite = replace(built, file=built.folder / "model.tflite")
    with pytest.raises(ModelError, match=r"fuse: true: model.tflite is not run by ONNX Runtime"):
        open_session(lite, device="cpu", tuning=Tuning(fuse=True))
