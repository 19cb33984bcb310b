import numpy as np
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ModelError
from streamer.infer import check_fit, open_session

IMAGE = {"kind": "image", "size": {"height": 4, "width": 4}}
LABELS = {0: "a", 1: "b", 2: "c"}


def flat(version, *, inputs=None, outputs=None, free=False, **manifest):
    """Build a classifier of 4x4 pictures with 48 'labels' or, by a product, 3."""
    weight = numpy_helper.from_array(np.zeros((48, 3), np.float32), "w")
    nodes = [
        helper.make_node("Flatten", ["images"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["logits"]),
    ]
    return version(
        {"images": ("float32", ["N", 3, 4, 4])},
        {"logits": ("float32", ["N", "K" if free else 3])},
        nodes,
        initializers=[weight],
        inputs=inputs or {"images": IMAGE},
        outputs=outputs or {"logits": {"decode": "logits"}},
        **{"id2label": LABELS, **manifest},
    )


def refusal(built):
    session = open_session(built, device="cpu")
    with pytest.raises(ModelError) as caught:
        check_fit(built, session)
    return str(caught.value)


def test_a_fixed_batch_must_come_out_again(version):
    # a list of all pictures' boxes can't be told apart once a batch was filled up
    nodes = [helper.make_node("Reshape", ["images", "sixes"], ["boxes"])]
    built = version(
        {"images": ("float32", [4, 3, 4, 4])},
        {"boxes": ("float32", ["M", 6])},
        nodes,
        initializers=[numpy_helper.from_array(np.array([-1, 6], np.int64), "sixes")],
        task="object-detection",
        inputs={"images": IMAGE},
        outputs={"boxes": {"decode": "detections"}},
    )
    assert "of 4 items came: 'boxes' 32" in refusal(built)


def test_what_fits_passes(version):
    built = flat(version)
    check_fit(built, open_session(built, device="cpu"))


def test_a_wrong_input_name_is_said_with_what_there_is(version):
    assert (
        "inputs: there is no input tensor 'imges'; the graph has 'images' float32 [N,3,4,4]"
        in refusal(flat(version, inputs={"imges": IMAGE}))
    )


def test_a_wrong_output_name_is_said_with_what_there_is(version):
    assert (
        "outputs: there is no output tensor 'logit'; the graph has 'logits' float32 [N,3]"
        in refusal(flat(version, outputs={"logit": {"decode": "logits"}}))
    )


@pytest.mark.parametrize("free", [False, True])
def test_the_number_of_labels_must_be_the_output_s(version, free):
    # a graph may leave the side free: then only a run tells
    built = flat(version, free=free, id2label={0: "a", 1: "b"})
    assert "id2label has 2 label(s), but the tensor is 'logits' float32 [N,3]" in refusal(built)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "uint8"}, "inputs.images.dtype: says uint8, the tensor is 'images' float32"),
        ({"layout": "NHWC"}, "layout, channels and size give [N,4,4,3], the tensor is"),
        ({"channels": "GRAY"}, "layout, channels and size give [N,1,4,4], the tensor is"),
        ({"size": {"height": 8, "width": 4}}, "give [N,3,8,4], the tensor is"),
    ],
)
def test_pictures_must_fit_their_tensor(version, change, said):
    assert said in refusal(flat(version, inputs={"images": {**IMAGE, **change}}))


def test_decodings_must_fit_their_tensor(version):
    for decode, said in (
        ("yolox", "'yolox' needs 3 dimensions, the tensor is 'logits' float32 [N,3]"),
        ("score", "'score' is one number a record, but the tensor is"),
    ):
        assert said in refusal(flat(version, outputs={"logits": {"decode": decode}}))


def test_an_input_that_is_left_out_is_asked_for(version):
    built = version(
        {"ids": ("int64", ["N", "L"]), "mask": ("int64", ["N", "L"])},
        {"y": ("int64", ["N", "L"])},
        [helper.make_node("Mul", ["ids", "mask"], ["y"])],
        inputs={"text": {"kind": "text", "tokenizer": "t", "tensors": {"ids": "ids"}}},
        outputs={"y": {"decode": "logits"}},
    )
    assert "the graph also takes 'mask' int64 [N,?]; say what goes in" in refusal(built)


@pytest.mark.parametrize(
    ("takes", "shape", "dtype", "said"),
    [
        ("ids", [None, 16], "int64", "max_length: says 64, the tensor is 'ids' int64 [N,16]"),
        ("ids", [None, None], "float32", "'ids' needs an int64 or int32 [N,length]"),
        ("string", [None, None], "int64", "'string' needs a string tensor"),
    ],
)
def test_texts_must_fit_their_tensors(version, takes, shape, dtype, said):
    text = {"kind": "text", "tokenizer": "t", "max_length": 64, "tensors": {"ids": takes}}
    built = version(
        {"ids": (dtype, shape)},
        {"y": (dtype, shape)},
        [helper.make_node("Identity", ["ids"], ["y"])],
        inputs={"text": text},
        outputs={"y": {"decode": "logits"}},
    )
    assert said in refusal(built)


@pytest.mark.parametrize(
    ("rank", "pooling", "said"),
    [(3, None, "add pooling: mean or cls"), (2, "mean", "write pooling: none")],
)
def test_pooling_must_fit_the_embedding(version, rank, pooling, said):
    built = version(
        {"ids": ("int64", ["N", "L"])},
        {"y": ("float32", ["N", "L", 1][:rank])},
        [
            helper.make_node("Cast", ["ids"], ["f"], to=1),
            *([helper.make_node("Unsqueeze", ["f", "axis"], ["y"])] if rank == 3 else []),
            *([helper.make_node("Identity", ["f"], ["y"])] if rank == 2 else []),
        ],
        initializers=[numpy_helper.from_array(np.array([2]), "axis")],
        inputs={"text": {"kind": "text", "tokenizer": "t", "tensors": {"ids": "ids"}}},
        outputs={"y": {"decode": "embedding", "pooling": pooling}},
        task="sentence-similarity",
    )
    assert said in refusal(built)


def test_quantised_outputs_need_their_scale(version):
    built = version(
        {"images": ("uint8", ["N", 3, 4, 4])},
        {"y": ("uint8", ["N", 48])},
        [helper.make_node("Flatten", ["images"], ["y"])],
        inputs={"images": {**IMAGE, "dtype": "uint8"}},
        outputs={"y": {"decode": "probabilities"}},
    )
    assert "outputs.y: 'y' uint8 [N,48] holds quantised values: add scale" in refusal(built)


def test_strides_must_make_the_grid_of_the_output(version):
    def grid(*strides):
        return version(
            {"images": ("float32", ["N", 3, 4, 4])},
            {"y": ("float32", ["N", "A", 8])},
            [helper.make_node("Reshape", ["images", "shape"], ["y"])],
            initializers=[numpy_helper.from_array(np.array([0, -1, 8]), "shape")],
            inputs={"images": IMAGE},
            outputs={"y": {"decode": "yolox", "strides": strides}},
            task="object-detection",
            id2label=LABELS,
        )

    # 48 values are 6 anchors of 8: no strides on 4x4 make them, 2 and 4 make 5
    said = "outputs.y: strides [2, 4] make 5 anchors of 4x4, but the tensor is 'y' float32 [N,6,8]"
    assert said in refusal(grid(2, 4))


def test_a_model_that_does_not_run_as_described_is_refused(version):
    shape = numpy_helper.from_array(np.array([1, 48]), "shape")
    built = version(
        {"images": ("float32", ["N", 3, "H", "W"])},
        {"y": ("float32", [1, 48])},
        [helper.make_node("Reshape", ["images", "shape"], ["y"])],
        initializers=[shape],
        inputs={"images": {**IMAGE, "size": {"height": 8, "width": 8}}},
        outputs={"y": {"decode": "logits"}},
    )
    assert "the model does not run with inputs as described:" in refusal(built)


def test_the_background_may_be_left_out_of_the_labels(version):
    def detector(*, background):
        return version(
            {"images": ("float32", ["N", 3, 4, 4])},
            {"scores": ("float32", ["N", 12, 4]), "boxes": ("float32", ["N", 12, 4])},
            [
                helper.make_node("Reshape", ["images", "shape"], ["scores"]),
                helper.make_node("Reshape", ["images", "shape"], ["boxes"]),
            ],
            initializers=[numpy_helper.from_array(np.array([0, 12, 4]), "shape")],
            inputs={"images": IMAGE},
            outputs={
                "scores": {"decode": "scores", "background": background},
                "boxes": {"decode": "boxes"},
            },
            task="object-detection",
            id2label=LABELS,
        )

    built = detector(background=True)
    check_fit(built, open_session(built, device="cpu"))
    assert "id2label has 3 label(s), but the tensor is 'scores'" in refusal(
        detector(background=False)
    )
