"""What each of transformers' processors does beside what its file says."""

import json

import pytest

from streamer.errors import ModelError
from streamer.models import load_version

NORMAL = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.5], "rescale_factor": 1 / 255}


@pytest.fixture
def read(tmp_path, write_onnx):
    """Reads the manifest of a folder with such a `preprocessor_config.json`."""

    def load(kind, steps, *, task="image-classification", inputs=("pixel_values",), **config):
        folder = tmp_path / "repo"
        outputs = {"logits": ("float32", ["N", 2])}
        if task == "object-detection":
            outputs = {
                "logits": ("float32", ["N", "Q", 3]),
                "pred_boxes": ("float32", ["N", "Q", 4]),
            }
        if task == "image-feature-extraction":
            outputs = {"last_hidden_state": ("float32", ["N", 17, 8])}
        types = {"pixel_values": ["N", 3, "H", "W"], "pixel_mask": ["N", "H", "W"]}
        write_onnx(
            folder / "model.onnx",
            {
                name: ("int64" if name == "pixel_mask" else "float32", types[name])
                for name in inputs
            },
            outputs,
        )
        told = {"image_processor_type": kind, **NORMAL, **steps}
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
        labels = {"id2label": {"0": "a", "1": "b"}}
        (folder / "config.json").write_text(json.dumps({**labels, **config}))
        return load_version("repo", beside=tmp_path, models_dir=tmp_path, task=task).manifest

    return load


def test_a_folder_that_names_no_labels_takes_those_of_the_file_beside(read, tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "labels.txt").write_text("cat\ndog\n")
    steps = {"size": {"height": 8, "width": 8}}
    assert read("ViTImageProcessor", steps).id2label == {0: "a", 1: "b"}
    for nameless in ({}, {"0": "LABEL_0", "1": "LABEL_1"}):
        labels = read("ViTImageProcessor", steps, id2label=nameless).id2label
        assert labels == {0: "cat", 1: "dog"}


def test_convnext_s_small_pictures_lose_their_margin_and_large_ones_are_stretched(read):
    image = read("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}).inputs["pixel_values"]
    assert (image.size.shortest_edge, image.crop_pct) == (224, 0.875)
    assert (image.cropped.height, image.cropped.width) == (224, 224)
    large = read("ConvNextFeatureExtractor", {"size": 384}).inputs["pixel_values"]
    assert (large.resize_rule, large.size.shortest_edge, large.cropped) == ("stretch", 384, None)


def test_levit_and_poolformer_resize_beyond_their_crop(read):
    crop = {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
    edge = {"size": {"shortest_edge": 224}, **crop}
    image = read("LevitImageProcessor", edge).inputs["pixel_values"]
    assert (image.size.shortest_edge, image.crop_size.height) == (256, 224)
    image = read("PoolFormerImageProcessor", {**edge, "crop_pct": 0.9}).inputs["pixel_values"]
    assert (image.size.shortest_edge, image.crop_pct) == (248, None)
    both = {"size": {"height": 224, "width": 224}, **crop, "crop_pct": 0.95}
    image = read("PoolFormerFeatureExtractor", both).inputs["pixel_values"]
    assert image.size.shortest_edge == 235


def test_efficientnet_divides_twice_and_may_begin_at_minus_one(read):
    steps = {"size": {"height": 8, "width": 8}, "rescale_offset": True, "include_top": True}
    image = read("EfficientNetImageProcessor", steps).inputs["pixel_values"]
    pixel, mean, std = 77 * NORMAL["rescale_factor"], 0.5, 0.2
    wanted = ((pixel - 1 - mean) / std) / std
    value = (pixel - image.image_mean[0]) / image.image_std[0]
    assert value == pytest.approx(wanted)


def test_mobilevit_takes_bgr_and_normalises_nothing(read):
    steps = {"size": {"shortest_edge": 288}, "do_flip_channel_order": True}
    image = read("MobileViTImageProcessor", steps).inputs["pixel_values"]
    assert image.channels == "BGR"
    assert set(image.image_mean) == {0.0}


@pytest.mark.parametrize(
    ("kind", "processor", "decode", "top_k"),
    [
        ("detr", "DetrImageProcessor", "detr", None),
        ("yolos", "YolosImageProcessor", "detr", None),
        ("deformable_detr", "DeformableDetrImageProcessor", "detr-sigmoid", 100),
        ("rt_detr", "RTDetrImageProcessor", "detr-sigmoid", 40),
    ],
)
def test_detectors_are_read_as_their_processors_read_them(read, kind, processor, decode, top_k):
    manifest = read(
        processor,
        {"size": {"shortest_edge": 800, "longest_edge": 1333}},
        task="object-detection",
        model_type=kind,
        num_queries=40,
    )
    assert manifest.outputs["logits"].decode == decode
    assert manifest.outputs["pred_boxes"].decode == "boxes"
    assert manifest.postprocess.top_k == top_k
    image = manifest.inputs["pixel_values"]
    assert (image.size.shortest_edge, image.size.longest_edge) == (800, 1333)
    assert image.side_divisor == (16 if kind == "yolos" else None)
    assert image.image_mean == ((0.0,) * 3 if kind == "rt_detr" else (0.5, 0.4, 0.3))


def test_a_mask_is_fed_where_the_file_takes_one(read):
    manifest = read(
        "DetrImageProcessor",
        {"size": 800, "max_size": 1333},
        task="object-detection",
        inputs=("pixel_values", "pixel_mask"),
        model_type="detr",
    )
    image = manifest.inputs["pixel_values"]
    assert image.mask == "pixel_mask"
    assert image.size.longest_edge == 1333


def test_a_detector_of_another_kind_is_asked_about(read):
    with pytest.raises(ModelError, match="how the outputs of a model of the kind 'new' are read"):
        read("DetrImageProcessor", {}, task="object-detection", model_type="new")


def test_a_model_s_states_may_be_the_answer(read):
    manifest = read("ViTImageProcessor", {}, task="image-feature-extraction")
    assert manifest.outputs["last_hidden_state"].pooling == "none"
