"""Pictures as bytes: the record's own, unless they would be read differently."""

import cv2
import numpy as np
import pytest

from streamer.config.topology import Images, Limits
from streamer.decode.picture import decode_image
from streamer.records import Image, Text


def jpeg(scene, *, exif=False):
    written, encoded = cv2.imencode(".jpg", scene(20, 30).pixels)
    assert written
    value = encoded.tobytes()
    if exif:  # turned by a quarter: orientation 6
        tags = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        content = b"Exif\x00\x00" + tags + b"\x00\x00\x00\x00"
        value = (
            value[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + value[2:]
        )
    return value


def decoded(value):
    return decode_image(value, Images(), Limits())


def test_a_plain_picture_s_own_bytes_are_fed(model, scene):
    chosen = model(kind="image-bytes")
    value = jpeg(scene)
    [[first], [second]] = chosen.prepare([decoded(value), decoded(value)])
    batch = chosen.collate([first, second])["x"]
    assert batch.tolist() == [value, value]
    assert batch.dtype == object
    assert first.context.original == (20, 30)


@pytest.mark.parametrize("turned", [True, False])
def test_what_a_graph_would_read_differently_is_written_anew(turned, model, scene):
    sample = decoded(jpeg(scene, exif=True)) if turned else Image(scene(7, 5).pixels)
    [[part]] = model(kind="image-bytes").prepare([sample])
    [fed] = part.arrays["x"]
    assert fed.startswith(b"\x89PNG")
    pixels = cv2.imdecode(np.frombuffer(fed, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[:2] == ((30, 20) if turned else (7, 5))
    assert np.array_equal(pixels, sample.pixels)


def test_bytes_one_after_another_are_of_one_picture(model, scene):
    chosen = model(kind="image-bytes", dtype="uint8")
    value = jpeg(scene)
    [[first], [second]] = chosen.prepare([decoded(value), decoded(value)])
    assert first.group != second.group
    assert chosen.collate([first])["x"].tobytes() == value


def test_a_text_is_no_picture(model):
    [outcome] = model(kind="image-bytes").prepare([Text("x")])
    assert outcome.reason == "wrong-type"
