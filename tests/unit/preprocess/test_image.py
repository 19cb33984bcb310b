"""Pictures to tensors: channels, layout, type and values."""

import numpy as np
import pytest

from streamer.models.manifest import Manifest
from streamer.preprocess import preprocessor_for
from streamer.records import Image, Text

SIZE = {"height": 6, "width": 9}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def batch_of(model, scenes):
    parts = [part for (part,) in model.prepare(scenes)]
    return model.collate(parts)["x"]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize("count", [1, 3])
def test_values_are_the_formula_of_the_manifest(layout, channels, count, model, scene):
    grey = channels == "GRAY"
    mean, std = ((0.5,), (0.25,)) if grey else (MEAN, STD)
    chosen = model(
        kind="image",
        size=SIZE,
        layout=layout,
        channels=channels,
        rescale_factor=1 / 255,
        image_mean=mean,
        image_std=std,
    )
    scenes = [scene(6, 9), scene(6, 9), Image(scene(6, 9).pixels[::-1])][:count]
    stack = np.stack([item.pixels for item in scenes]).astype(np.float64)
    if channels == "RGB":
        stack = stack[..., ::-1]
    if grey:
        stack = (stack @ [0.114, 0.587, 0.299])[..., None].round()
    wanted = (stack / 255 - mean) / std
    if layout == "NCHW":
        wanted = wanted.transpose(0, 3, 1, 2)
    result = batch_of(chosen, scenes)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() < (0.02 if grey else 1e-5)


@pytest.mark.parametrize(
    ("dtype", "settings", "wanted"),
    [
        ("uint8", {}, [0, 100, 255]),
        ("int8", {"image_mean": (128,)}, [-128, -28, 127]),
        ("int32", {}, [0, 100, 255]),
        ("uint8", {"rescale_factor": 2.0}, [0, 200, 255]),
        ("float16", {"rescale_factor": 1 / 255}, [0, 0.3921, 1]),
        ("float32", {"image_mean": (127,), "image_std": (128,)}, [-127 / 128, -27 / 128, 1]),
    ],
)
def test_each_type_is_reached(dtype, settings, wanted, model):
    pixels = np.broadcast_to(np.array([0, 100, 255], np.uint8)[None, :, None], (1, 3, 3)).copy()
    size = {"height": 1, "width": 3}
    chosen = model(kind="image", size=size, layout="NHWC", dtype=dtype, **settings)
    result = batch_of(chosen, [Image(pixels)])
    assert result.dtype == dtype
    assert np.allclose(result[0, 0, :, 1].astype(float), wanted, atol=1e-3)


def test_bytes_for_a_model_of_bytes_are_not_copied(model, scene):
    chosen = model(kind="image", size=SIZE, layout="NHWC", channels="BGR", dtype="uint8")
    picture = scene(6, 9)
    assert np.shares_memory(batch_of(chosen, [picture]), picture.pixels)


def test_pictures_stay_bytes_until_the_batch_is_made(model, scene):
    ((part,),) = model(kind="image", size=SIZE).prepare([scene(40, 50)])
    assert part.arrays["x"].dtype == np.uint8
    assert part.arrays["x"].shape == (6, 9, 3)
    assert (part.cost, part.group, part.length) == (54, (6, 9), 0)
    assert part.context.original == (40, 50)


def test_what_is_no_picture_is_an_error_and_the_others_go_on(model, scene):
    good, bad, last = model(kind="image", size=SIZE).prepare([scene(6, 9), Text("a"), scene(6, 9)])
    assert len(good) == len(last) == 1
    assert bad.reason == "wrong-type"
    assert str(bad) == "a text, where the model reads pictures"


def test_what_cannot_be_framed_is_an_error_and_the_others_go_on(model, scene):
    bad, good = model(kind="image", size=SIZE, resize="none").prepare([scene(7, 9), scene(6, 9)])
    assert bad.reason == "wrong-size"
    assert len(good) == 1


@pytest.mark.parametrize("resample", ["opencv-area", "pillow-bicubic", "tf-bilinear"])
@pytest.mark.parametrize("channels", ["RGB", "GRAY"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_batch_is_what_its_pictures_are_alone(resample, channels, layout, model, scene):
    crop = {"do_center_crop": True, "crop_size": {"height": 8, "width": 8}}
    chosen = model(
        kind="image",
        size={"shortest_edge": 10},
        channels=channels,
        layout=layout,
        resample=resample,
        rescale_factor=1 / 255,
        image_mean=(0.5,),
        **crop,
    )
    scenes = [scene(20, 31), scene(10, 10), scene(7, 50), scene(300, 200)]
    together = batch_of(chosen, scenes)
    alone = np.concatenate([batch_of(chosen, [item]) for item in scenes])
    assert together.shape[0] == 4
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_smaller_pictures_are_padded_with_zeros_and_the_mask_says_where(layout, model, scene):
    chosen = model(
        kind="image",
        layout=layout,
        size_divisor=8,
        mask="m",
        image_mean=(9,),
        image_std=(2,),
    )
    parts = [part for (part,) in chosen.prepare([scene(6, 9), scene(8, 16), scene(3, 10)])]
    assert {part.group for part in parts} == {(8, 16)}
    assert [part.context.model for part in parts] == [(6, 9), (8, 16), (3, 10)]
    batch = chosen.collate(parts)
    values = batch["x"] if layout == "NHWC" else batch["x"].transpose(0, 2, 3, 1)
    assert values.shape == (3, 8, 16, 3)
    for value, mask, (height, width) in zip(
        values, batch["m"], [(6, 9), (8, 16), (3, 10)], strict=True
    ):
        inside = (scene(height, width).pixels[..., ::-1].astype(np.float32) - 9) / 2
        np.testing.assert_allclose(value[:height, :width], inside, atol=1e-5)
        assert mask[:height, :width].all()
        assert mask.sum() == height * width
        assert not value[~mask].any()


def test_without_a_mask_boxes_are_told_by_the_padded_input(model, scene):
    chosen = model(kind="image", pad_size={"height": 20, "width": 30})
    [[part]] = chosen.prepare([scene(6, 9)])
    assert part.context.model == (20, 30)
    assert list(chosen.collate([part])) == ["x"]


def test_a_picture_that_padding_has_no_room_for_is_refused(model, scene):
    [outcome] = model(kind="image", pad_size={"height": 5, "width": 9}).prepare([scene(6, 9)])
    assert outcome.reason == "wrong-size"


def test_quantised_inputs_are_stored_as_their_tensor_stores_them(model, scene):
    chosen = model(
        kind="image",
        size=SIZE,
        dtype="int8",
        rescale_factor=1 / 127.5,
        image_mean=(1,),
        scale=0.0078125,
        zero_point=-1,
    )
    pixels = scene(6, 9).pixels[..., ::-1].astype(np.float64)
    wanted = np.clip(np.rint((pixels / 127.5 - 1) / 0.0078125 - 1), -128, 127)
    stored = batch_of(chosen, [scene(6, 9)])[0].transpose(1, 2, 0)
    assert stored.dtype == np.int8
    assert np.abs(stored - wanted).max() <= 1
    assert (stored == wanted).mean() > 0.99


def test_sizes_of_each_picture_go_in_beside_it(folder, scene):
    manifest = Manifest(
        name="m",
        task="object-detection",
        inputs={
            "x": {"kind": "image", "size": {"height": 8, "width": 8}, "resize": "letterbox"},
            "hw": {"kind": "image-size"},
            "info": {
                "kind": "image-size",
                "values": ["input_width", "input_height", "scale_y", "scale_x", "one"],
                "dtype": "float32",
            },
        },
        outputs={"y": {"decode": "detections"}},
    )
    chosen = preprocessor_for(manifest, folder)
    parts = [part for (part,) in chosen.prepare([scene(16, 32), scene(4, 4)])]
    batch = chosen.collate(parts)
    assert batch["hw"].tolist() == [[16, 32], [4, 4]]
    assert batch["hw"].dtype == np.int64
    assert batch["info"].tolist() == [[8, 8, 0.25, 0.25, 1], [8, 8, 2, 2, 1]]


def test_places_are_those_of_the_whole_picture_where_a_part_of_its_size_was_decoded(model, scene):
    chosen = model(kind="image", size=SIZE)
    whole = scene(60, 90)
    half = Image(whole.pixels[::2, ::2], full=(60, 90))
    [[one]], [[other]] = chosen.prepare([whole]), chosen.prepare([half])
    assert other.context == one.context
    assert other.context.original == (60, 90)
