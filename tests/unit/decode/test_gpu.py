"""JPEGs on a GPU: the same pictures as on the CPU, within what nvJPEG rounds otherwise."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto

import cv2
import numpy as np
import pytest
from PIL import Image

from streamer.config.topology import Images, Limits
from streamer.decode.gpu import GpuJpegs
from streamer.decode.picture import decode_image
from streamer.errors import ConfigError

GPU = Images(decode="gpu")
CPU_MEAN, CPU_MOST = 0.5, 8
"""Grey levels by the library's decoders for CPUs: libjpeg-turbo, too, perhaps another one."""
GPU_MEAN, GPU_MOST = 2.0, 48
"""By nvJPEG, which rounds its transform otherwise."""


class Kind(Enum):
    CPU_ONLY = auto()
    HW_GPU_ONLY = auto()
    GPU_ONLY = auto()
    HYBRID_CPU_GPU = auto()


class Library:
    """A stand-in that notes its batches, and decodes none of what begins with `other`."""

    BackendKind = Kind
    NVIMGCODEC_DEVICE_CPU_ONLY = -99999

    class ColorSpec:
        SRGB = "sRGB"

    class SampleFormat:
        I_BGR = "bgr"

    def __init__(self, *, reads=True, gpu=True):
        self.batches = []
        self.started, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.reads, self.gpu = reads, gpu

    def Backend(self, kind):  # noqa: N802 - the library's name
        return kind

    def DecodeParams(self, **params):  # noqa: N802 - the library's name
        return params

    def Decoder(self, **_):  # noqa: N802 - the library's name
        if not self.gpu:
            raise RuntimeError("CUDA Runtime failure: '#35'")
        return self

    def decode(self, values, params):
        assert params == {"color_spec": "sRGB", "sample_format": "bgr"}
        self.batches.append(values)
        self.started.set()
        assert self.go_on.wait(10.0)
        if b"broken" in values:
            raise RuntimeError("out of memory")
        return [None if not self.reads or v.startswith(b"other") else Decoded() for v in values]


class Decoded:
    def cpu(self):
        return np.zeros((4, 6, 3), np.uint8)


@pytest.fixture(scope="module")
def on_cpu():
    pytest.importorskip("nvidia.nvimgcodec", reason="platform: nvImageCodec is not installed")
    return GpuJpegs(on_cpu=True).decode


@pytest.fixture(scope="module")
def on_gpu():
    pytest.importorskip("nvidia.nvimgcodec", reason="platform: nvImageCodec is not installed")
    try:
        return GpuJpegs().decode
    except ConfigError as error:
        pytest.skip(f"gpu: {error}")


def jpegs(encode, picture):
    """JPEGs of many kinds: sampling, progressive, grey, turned."""
    turned = Image.Exif()
    turned[0x112] = 6
    large = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    large = cv2.resize(large, (801, 603), interpolation=cv2.INTER_CUBIC)
    values = {
        str(sampling): encode(picture, "JPEG", subsampling=sampling, quality=90)
        for sampling in range(3)
    }
    return values | {
        "progressive": encode(picture, "JPEG", progressive=True),
        "grey": encode(picture.convert("L"), "JPEG"),
        "turned": encode(picture, "JPEG", exif=turned),
        "large": cv2.imencode(".jpg", large)[1].tobytes(),
    }


def differences(found, value):
    exact = decode_image(value, Images(), Limits()).pixels.astype(int)
    assert found.pixels.shape == exact.shape
    return np.abs(found.pixels - exact)


@pytest.mark.parametrize(
    ("decoder", "tolerance"), [("on_cpu", (CPU_MEAN, CPU_MOST)), ("on_gpu", (GPU_MEAN, GPU_MOST))]
)
def test_pictures_are_those_of_exact_decoding(request, decoder, tolerance, encode, picture):
    mean, most = tolerance
    decode = request.getfixturevalue(decoder)
    for name, value in jpegs(encode, picture).items():
        assert decode(value) is not None, name
        off = differences(decode_image(value, GPU, Limits(), None, decode), value)
        assert off.mean() <= mean, name
        assert off.max() <= most, name


def test_what_is_no_picture_is_nothing(on_cpu):
    assert on_cpu(b"\xff\xd8\xff\xe0 and no more") is None


def test_only_whole_jpegs_are_asked_for_and_the_cpu_reads_the_rest(variants):
    asked = []
    allow = Images(decode="gpu", truncated="allow")
    for value in (*variants.values(), variants["jpeg"][:-20]):
        found = decode_image(value, allow, Limits(), None, asked.append)
        exact = decode_image(value, Images(truncated="allow"), Limits())
        assert np.array_equal(found.pixels, exact.pixels)
    assert variants["jpeg"] in asked
    assert all(value[:2] == b"\xff\xd8" for value in asked)
    assert variants["jpeg"][:-20] not in asked


def test_threads_that_ask_meanwhile_share_the_next_batch():
    library = Library()
    jpegs = GpuJpegs(library=library)
    library.batches.clear()
    library.started.clear()
    library.go_on.clear()
    with ThreadPoolExecutor(5) as pool:
        found = [pool.submit(jpegs.decode, b"first")]
        assert library.started.wait(10.0)
        found += [pool.submit(jpegs.decode, value) for value in (b"a", b"other", b"c")]
        while len(jpegs._waiting) < 3:
            threading.Event().wait(0.001)
        library.go_on.set()
    assert [one.result() is None for one in found] == [False, False, True, False]
    assert [sorted(batch) for batch in library.batches] == [[b"first"], [b"a", b"c", b"other"]]


def test_a_batch_that_fails_is_left_to_the_cpu():
    assert GpuJpegs(library=Library()).decode(b"broken") is None


def test_a_gpu_that_decodes_no_jpegs_is_refused_at_the_start():
    with pytest.raises(
        ConfigError, match=r"nvJPEG comes with pip install 'streamer\[nvimgcodec\]'"
    ):
        GpuJpegs(library=Library(reads=False))


def test_without_a_gpu_it_is_refused_with_what_to_write_instead():
    library = Library(gpu=False)
    with pytest.raises(ConfigError, match=r"decode: gpu: no GPU is here .*write exact or fast"):
        GpuJpegs(library=library)


def test_without_the_library_it_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia", None)
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[nvimgcodec\]'; or write exact"):
        GpuJpegs()
