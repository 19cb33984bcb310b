"""Every real model that there is to test with is asked what was noted of it, and by which test."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
BY = {
    "test_models_assets.py": (
        "banking77_minilm_l3_int8",
        "minilm_l6_v2_int8",
        "mnist_cntk",
        "mobilenet_v1_025_128_int8_nhwc_batch1",
        "mobilenet_v1_050_160_f32_nchw",
        "mobilenet_v2_224_int8_nhwc",
        "sms_spam_tfidf_string_onnx",
        "ultraface_rfb320",
        "yolox_nano_coco_dyn",
    ),
    "test_text_assets.py": ("wikigold_minilm_l6_int8",),
    "test_torch_assets.py": (
        "clinc150_textcnn_torchscript",
        "mobilenet_v1_025_128_torchscript",
    ),
    "test_tensorflow_assets.py": (
        "emotion_mini_xception",
        "mobilenet_v1_025_128_tf_frozen",
        "mobilenet_v1_025_128_tf_savedmodel",
    ),
}


@pytest.mark.parametrize("module", BY)
def test_a_module_asks_the_models_that_are_said_to_be_its(module):
    source = (HERE / module).read_text(encoding="utf-8")
    assert [name for name in BY[module] if f'"{name}"' not in source] == []


def test_no_real_model_is_left_out(assets):
    there = {noted.parent.name for noted in assets.glob("*/*/expected.json")}
    named = [name for names in BY.values() for name in names]
    assert len(named) == len(set(named))
    assert there == set(named)
