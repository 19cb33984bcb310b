"""Decoding and preprocessing against real models, pictures and texts, without the line between.

What was run elsewhere, with other code, must come out here: scores to 1e-4 for float models, and
for the quantised ones to the step of their output.
"""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from streamer.config.topology import Images, Source
from streamer.decode import Decoder
from streamer.errors import DecodeError
from streamer.models.manifest import Manifest
from streamer.preprocess import Preprocessor, preprocessor_for
from streamer.records import Image, Record, Sample, Text

REFUSED = {
    "empty.jpg": "empty-value",
    "header_only.jpg": "truncated-image",
    "not_an_image.jpg": "not-an-image",
    "truncated.jpg": "truncated-image",
}


def record(value: bytes) -> Record:
    return Record("photos", 0, 0, 0, None, value)


def decoder(**settings: Any) -> Decoder:
    return Decoder(Source(topics=("photos",), format="image", **settings), "image")


def preprocessor(folder: Path, task: str, inputs: dict[str, Any]) -> Preprocessor:
    manifest = Manifest(name="m", task=task, inputs=inputs, outputs={"y": {"decode": "logits"}})
    return preprocessor_for(manifest, folder)


def softmax(logits: Any) -> Any:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def session(folder: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "model.onnx", options)


def expected(folder: Path) -> Any:
    return json.loads((folder / "expected.json").read_text())


def run(folder: Path, chosen: Preprocessor, samples: list[Sample], batch: int) -> Any:
    """Give the first output for the samples, so many at a time."""
    parts = [part for (part,) in chosen.prepare(samples)]
    model = session(folder)
    chunks = [parts[start : start + batch] for start in range(0, len(parts), batch)]
    return np.concatenate([model.run(None, chosen.collate(chunk))[0] for chunk in chunks])


@pytest.mark.parametrize(
    ("name", "tensor", "side", "settings", "scores", "batch"),
    [
        (
            "mobilenet_v1_050_160_f32_nchw",
            "pixel_values",
            160,
            {"rescale_factor": 1 / 128, "image_mean": (1,), "image_std": (1,)},
            softmax,
            12,
        ),
        (
            "mobilenet_v2_224_int8_nhwc",
            "input",
            224,
            {"layout": "NHWC", "dtype": "uint8"},
            lambda output: output / 256,
            12,
        ),
        (
            "mobilenet_v1_025_128_int8_nhwc_batch1",
            "input",
            128,
            {"layout": "NHWC", "dtype": "uint8"},
            lambda output: output / 256,
            1,
        ),
    ],
)
def test_classifiers_score_real_pictures_as_expected(  # noqa: PLR0917 - parameters by name
    name: str,
    tensor: str,
    side: int,
    settings: dict[str, Any],
    scores: Callable[[Any], Any],
    batch: int,
    assets: Path,
) -> None:
    folder = assets / "image-classification" / name
    spec = {
        "kind": "image",
        "size": {"shortest_edge": round(side * 1.14)},
        "resample": "opencv-area",
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        **settings,
    }
    examples = expected(folder)["examples"]
    samples = [decoder().decode(record((assets / each["file"]).read_bytes())) for each in examples]
    chosen = preprocessor(folder, "image-classification", {tensor: spec})
    found = scores(run(folder, chosen, samples, batch).astype(np.float64))
    for each, row in zip(examples, found, strict=True):
        wanted = {index: score for index, _, score in each["top5"]}
        # Expected scores are rounded to four places.
        assert max(abs(row[index] - score) for index, score in wanted.items()) < 1e-4, each["file"]
        assert row.argmax() == each["top5"][0][0] or row.max() == row[each["top5"][0][0]]


def test_digits_come_through_pictures_as_they_are(assets: Path) -> None:
    folder = assets / "image-classification" / "mnist_cntk"
    raw = gzip.decompress((assets / "data/mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    digits = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:1000]
    tensor = session(folder).get_inputs()[0].name
    spec = {"kind": "image", "channels": "GRAY", "size": {"height": 28, "width": 28}}
    chosen = preprocessor(folder, "image-classification", {tensor: spec})
    samples = []
    for digit in digits:
        file = io.BytesIO()
        Pillow.fromarray(digit).save(file, "PNG", compress_level=1)
        samples.append(decoder().decode(record(file.getvalue())))
    batch = chosen.collate([part for (part,) in chosen.prepare(samples)])[tensor]
    assert batch.dtype == np.float32
    assert np.array_equal(batch[:, 0], digits)
    found = run(folder, chosen, samples[:20], 1).argmax(1)
    assert found.tolist() == expected(folder)["first20"]


def test_intents_are_told_as_expected(assets: Path) -> None:
    folder = assets / "text-classification" / "banking77_minilm_l3_int8"
    spec = {
        "kind": "text",
        "tokenizer": "tokenizer.json",
        "max_length": 64,
        "tensors": {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"},
    }
    chosen = preprocessor(folder, "text-classification", {"text": spec})
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    lines = (assets / "data/text/banking77_test.jsonl").read_text().splitlines()
    # Scales of a dynamically quantised model are a batch's: it was asked in batches of 16.
    samples: list[Sample] = [Text(json.loads(line)["text"]) for line in lines[:16]]
    found = softmax(run(folder, chosen, samples, 16))
    examples = expected(folder)["examples"]
    for each, sample, row in zip(examples, samples, found, strict=False):
        assert sample == Text(each["text"])
        assert labels[int(row.argmax())] == each["pred"]
        assert abs(row.max() - each["score"]) < 1e-4, each["text"]


def test_a_graph_that_tokenises_gets_its_strings(assets: Path) -> None:
    folder = assets / "text-classification" / "sms_spam_tfidf_string_onnx"
    spec = {"kind": "text", "tensors": {"text": "string"}, "lowercase": True}
    chosen = preprocessor(folder, "text-classification", {"text": spec})
    examples = expected(folder)["examples"]
    samples: list[Sample] = [Text(each["text"]) for each in examples]
    assert run(folder, chosen, samples, 4).tolist() == [each["pred"] for each in examples]


def odd_encodings(assets: Path) -> dict[str, bytes]:
    folder = assets / "data/images/odd_encodings"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_odd_encodings_are_seen_as_viewers_show_them_or_refused(assets: Path) -> None:
    values = odd_encodings(assets)
    reasons, sizes = {}, {}
    for name, value in values.items():
        try:
            sample = decoder().decode(record(value))
        except DecodeError as error:
            reasons[name] = error.reason
            continue
        assert isinstance(sample, Image)
        sizes[name] = sample.size
        assert decoder().cost(record(value)) >= len(value) + sample.pixels.nbytes
        if name != "gray16.png":
            shown = ImageOps.exif_transpose(Pillow.open(io.BytesIO(value))).convert("RGB")
            assert np.array_equal(sample.pixels, np.asarray(shown)[..., ::-1]), name
    assert reasons == REFUSED
    assert set(sizes) == set(values) - set(REFUSED)
    odd = {"onepixel.png": (1, 1), "strip_5000x20.png": (20, 5000)}
    assert {name: size for name, size in sizes.items() if size != (271, 320)} == odd


def test_16_bits_are_scaled_where_pillow_clips(assets: Path) -> None:
    value = odd_encodings(assets)["gray16.png"]
    sample = decoder().decode(record(value))
    assert isinstance(sample, Image)
    exact = np.asarray(Pillow.open(io.BytesIO(value))).astype(np.float64) / 257
    assert np.abs(sample.pixels - exact[..., None]).max() <= 0.5


def test_truncated_pictures_are_answered_where_that_is_allowed(assets: Path) -> None:
    values = odd_encodings(assets)
    lenient = decoder(images=Images(truncated="allow"))
    sample, whole = (
        lenient.decode(record(values[name])) for name in ("truncated.jpg", "rgb_baseline.jpg")
    )
    assert isinstance(sample, Image)
    assert isinstance(whole, Image)
    assert np.array_equal(sample.pixels[:100], whole.pixels[:100])
    with pytest.raises(DecodeError) as caught:
        lenient.decode(record(values["header_only.jpg"]))
    assert caught.value.reason == "truncated-image"
