"""Pictures of every format, made in memory, and records that hold them."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from streamer.errors import DecodeError
from streamer.records import Record

WIDTH, HEIGHT = 48, 32


@pytest.fixture(scope="session")
def colours() -> Any:
    """A smooth picture, uint8 [32, 48, 3], RGB, unlike its mirror images."""
    rough = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    return cv2.resize(rough, (WIDTH, HEIGHT))


@pytest.fixture(scope="session")
def picture(colours) -> Image.Image:
    return Image.fromarray(colours)


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, form, **options)
        return file.getvalue()

    return encoded


@pytest.fixture(scope="session")
def viewed() -> Callable[[bytes], Any]:
    """What a viewer shows, as Pillow reads it: BGR."""

    def pixels(value: bytes) -> Any:
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(value)))
        return np.asarray(upright.convert("RGB"))[..., ::-1]

    return pixels


@pytest.fixture(scope="session")
def record() -> Callable[[bytes | None], Record]:
    def of(value: bytes | None) -> Record:
        return Record("photos", 0, 7, 1, None, value)

    return of


@pytest.fixture(scope="session")
def tried() -> Callable[[Callable[[], Any]], Any]:
    """Call, and give the result or the DecodeError; any other error fails the test."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DecodeError as error:
            return error

    return outcome


@pytest.fixture(scope="session")
def variants(picture, encode) -> dict[str, bytes]:
    """Encodings whose pixels have to be Pillow's, bit for bit."""
    clear = picture.copy()
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    palette = picture.quantize(64)
    grey, flat = picture.convert("L"), picture.convert("1")
    return {
        "jpeg": encode(picture, "JPEG"),
        "jpeg progressive": encode(picture, "JPEG", progressive=True),
        "jpeg restart": encode(picture, "JPEG", restart_marker_rows=1),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "png": encode(picture, "PNG"),
        "png rgba": encode(clear, "PNG"),
        "png grey alpha": encode(clear.convert("LA"), "PNG"),
        "png palette": encode(palette, "PNG"),
        "png palette transparent": encode(palette, "PNG", transparency=3),
        "png 1 bit": encode(flat, "PNG"),
        "png profile": encode(picture, "PNG", icc_profile=b"no profile at all"),
        "png animated": encode(picture, "PNG", save_all=True, append_images=[palette] * 3),
        "png still first": encode(
            picture, "PNG", save_all=True, default_image=True, append_images=[palette] * 3
        ),
        "webp": encode(picture, "WEBP"),
        "webp lossless": encode(picture, "WEBP", lossless=True),
        "webp alpha": encode(clear, "WEBP"),
        "webp animated": encode(picture, "WEBP", save_all=True, append_images=[palette] * 3),
        "bmp": encode(picture, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp 1 bit": encode(flat, "BMP"),
        "bmp 32": encode(clear, "BMP"),
        "gif": encode(palette, "GIF"),
        "gif transparent": encode(palette, "GIF", transparency=3),
        "gif animated": encode(palette, "GIF", save_all=True, append_images=[grey] * 3),
        "tiff": encode(picture, "TIFF"),
        "tiff lzw": encode(picture, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encode(picture, "TIFF", compression="jpeg"),
        "tiff rgba": encode(clear, "TIFF"),
        "tiff cmyk": encode(picture.convert("CMYK"), "TIFF"),
        "tiff palette": encode(palette, "TIFF"),
        "tiff 1 bit": encode(flat, "TIFF"),
        "tiff lab": encode(picture.convert("LAB"), "TIFF"),
        "tiff big": encode(picture, "TIFF", big_tiff=True),
    }
