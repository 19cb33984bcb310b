"""Pictures come out as viewers show them, or are refused for the right reason."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streamer.config.topology import Images, Limits
from streamer.decode.headers import read_header
from streamer.decode.picture import decode_image
from streamer.errors import DecodeError

REJECT, ALLOW = Images(), Images(truncated="allow")
LIMITS = Limits()
WHOLE = ("jpeg", "jpeg progressive", "png", "webp", "webp lossless", "bmp", "tiff", "tiff lzw")


def reason_of(value: bytes, images: Images = REJECT, limits: Limits = LIMITS) -> str:
    with pytest.raises(DecodeError) as caught:
        decode_image(value, images, limits)
    return caught.value.reason


def png_header(width: int, height: int) -> bytes:
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))


def test_every_encoding_gives_the_pixels_that_pillow_gives(variants, viewed):
    different = {
        name
        for name, value in variants.items()
        if not np.array_equal(decode_image(value, REJECT, LIMITS).pixels, viewed(value))
    }
    assert different == set()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(form, orientation, picture, encode, viewed):
    exif = Image.Exif()
    exif[0x112] = orientation
    value = encode(picture, form, exif=exif)
    pixels = decode_image(value, REJECT, LIMITS).pixels
    assert pixels.shape == ((48, 32, 3) if orientation > 4 else (32, 48, 3))
    assert np.array_equal(pixels, viewed(value))


@pytest.mark.parametrize("form", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_divided_by_257_and_rounded(form, channels):
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    stack = every if channels == 1 else np.dstack([every] * channels)
    value = cv2.imencode(form, stack)[1].tobytes()
    wanted = np.floor(every / 257 + 0.5).astype(np.uint8)
    pixels = decode_image(value, REJECT, LIMITS).pixels
    assert pixels.shape == (256, 256, 3)
    assert all(np.array_equal(pixels[..., channel], wanted) for channel in range(3))


def test_16_bit_pictures_are_turned_upright(encode):
    grey = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    exif = Image.Exif()
    exif[0x112] = 6
    pixels = decode_image(encode(grey, "PNG", exif=exif), REJECT, LIMITS).pixels
    plain = decode_image(encode(grey, "PNG"), REJECT, LIMITS).pixels
    assert np.array_equal(pixels, np.rot90(plain, -1))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_a_background_stands_behind_transparent_pixels(form, encode):
    clear = Image.new("RGBA", (8, 4), (200, 100, 50, 0))
    clear.paste((10, 20, 30, 255), (0, 0, 4, 4))
    value = encode(clear, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    over = decode_image(value, Images(background="#0000ff"), LIMITS).pixels
    dropped = decode_image(value, REJECT, LIMITS).pixels
    assert over[0, 0].tolist() == dropped[0, 0].tolist() == [30, 20, 10]
    assert over[0, 7].tolist() == [255, 0, 0]
    assert dropped[0, 7].tolist() == [50, 100, 200]


def test_a_background_changes_nothing_for_opaque_pictures(variants):
    for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
        behind = decode_image(variants[name], Images(background="#ff00ff"), LIMITS).pixels
        assert np.array_equal(behind, decode_image(variants[name], REJECT, LIMITS).pixels), name


@pytest.mark.parametrize("name", WHOLE)
@given(share=st.floats(0, 1))
def test_a_cut_off_end_is_rejected_wherever_the_cut_is(name, share, variants):
    value = variants[name]
    cut = value[: int(12 + share * (len(value) - 13))]
    assert reason_of(cut) == "truncated-image"


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png", "webp", "bmp"])
def test_a_cut_off_end_is_answered_where_that_is_allowed(name, variants):
    value = variants[name]
    whole = decode_image(value, REJECT, LIMITS).pixels
    pixels = decode_image(value[: len(value) - 160], ALLOW, LIMITS).pixels
    assert pixels.shape == whole.shape
    # BMP is written from the lowest row up.
    rows = slice(-4, None) if name == "bmp" else slice(0, 4)
    assert np.abs(pixels[rows].astype(int) - whole[rows]).mean() < 40
    assert not np.array_equal(pixels, whole)


def test_an_interlaced_png_is_answered_from_its_first_passes(encode):
    # 2x2 pixels, RGB, interlaced: three passes, of 1, 1 and 2 pixels.
    rows = b"\0\xc8\x64\x32" * 2 + b"\0" + b"\xc8\x64\x32" * 2
    ihdr = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 1)

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    value = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(rows))
    assert reason_of(value) == "truncated-image"
    assert decode_image(value, ALLOW, LIMITS).pixels[0, 0].tolist() == [50, 100, 200]


def test_what_is_no_picture_is_told_by_its_first_bytes():
    with pytest.raises(DecodeError, match=r"no picture: 13 bytes, begin with '%PDF-1\.7") as caught:
        decode_image(b"%PDF-1.7 %\xe2\xe3\xcf", REJECT, LIMITS)
    assert caught.value.reason == "not-an-image"


def test_the_limit_of_pixels_comes_before_decoding():
    value = png_header(60_000, 60_000)
    assert reason_of(value) == "too-many-pixels"
    assert reason_of(value, limits=Limits(pixels=1)) == "too-many-pixels"


def test_the_limit_of_pixels_is_for_the_smallest_too_many(variants):
    decode_image(variants["png"], REJECT, Limits(pixels=48 * 32))
    assert reason_of(variants["png"], limits=Limits(pixels=48 * 32 - 1)) == "too-many-pixels"


def test_broken_pixels_are_corrupt_not_truncated(variants):
    value = bytearray(variants["png"])
    value[60:200] = bytes(140)
    assert reason_of(bytes(value)) == "corrupt-image"


def test_float_tiff_is_not_read(picture, encode):
    assert reason_of(encode(picture.convert("F"), "TIFF")) == "unsupported-image"


def test_a_jpeg_of_endless_scans_is_refused(variants):
    value = variants["jpeg progressive"]
    scan = b"\xff\xda\0\x08\1\1\0\1\x3f\0\xaa"
    assert reason_of(value[:-2] + scan * 101 + value[-2:]) == "corrupt-image"


def test_endless_scans_are_looked_for_wherever_more_than_one_is_decoded(variants):
    scan = b"\xff\xda\0\x08\1\1\0\1\x3f\0\xaa"
    value = bytearray(variants["jpeg"][:-2] + scan * 101 + variants["jpeg"][-2:])
    assert decode_image(bytes(value), REJECT, LIMITS).size == (32, 48)  # the first has all channels
    value[value.index(b"\xff\xda") + 4] = 1
    with pytest.raises(DecodeError, match="JPEG of 102 scans"):
        decode_image(bytes(value), REJECT, LIMITS)


def test_a_jpeg_thumbnail_does_not_stand_in_for_the_missing_end(picture, encode):
    thumbnail = encode(picture, "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    value = thumbnail[:2] + segment + thumbnail[2:]
    decode_image(value, REJECT, LIMITS)
    assert reason_of(value[:-30]) == "truncated-image"


def test_a_frame_header_that_lies_about_its_size_is_not_believed(variants):
    value = bytearray(variants["gif"])
    value[6:10] = struct.pack("<HH", 1, 1)  # the screen; the frame is larger
    assert decode_image(bytes(value), REJECT, LIMITS).size == (32, 48)
    assert reason_of(bytes(value), limits=Limits(pixels=100)) == "too-many-pixels"


@pytest.mark.parametrize("images", [REJECT, ALLOW, Images(background="#ffffff")], ids=str)
@given(data=st.data())
def test_a_damaged_picture_is_a_picture_or_a_decode_error(images, data, variants, tried):
    value = bytearray(variants[data.draw(st.sampled_from(sorted(variants)))])
    spots = data.draw(st.lists(st.tuples(st.integers(0, len(value) - 1), st.binary(max_size=4))))
    for place, junk in spots:
        value[place : place + len(junk)] = junk
    outcome = tried(lambda: decode_image(bytes(value), images, Limits(pixels=10**6)))
    if isinstance(outcome, DecodeError):
        assert outcome.reason.endswith(("-image", "-pixels"))
    else:
        assert outcome.pixels.dtype == np.uint8
        assert outcome.pixels.size == 3 * read_header(bytes(value))[1].pixels


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]),
    st.sampled_from(["RGB", "L", "P", "1", "RGBA", "CMYK", "LA"]),
)
def test_the_header_knows_the_size(width, height, form, mode):
    picture = Image.new("RGB", (width, height), (9, 99, 199)).convert(mode)
    file = io.BytesIO()
    try:
        picture.save(file, form)
    except (OSError, ValueError):  # this format has no such mode
        return
    header = read_header(file.getvalue())[1]
    assert (header.width, header.height) == (width, height)
    assert decode_image(file.getvalue(), REJECT, LIMITS).size == (height, width)
