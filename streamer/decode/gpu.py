"""JPEGs decoded on a GPU by nvImageCodec, as many at once as threads ask for at the time."""

from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from streamer.errors import ConfigError

_WHERE = "source.images.decode: gpu"
_INSTEAD = "write exact or fast"
_LIKE_THE_CPU = ":fancy_upsampling=1"
"""Colours are interpolated as libjpeg-turbo does it, not repeated."""
_TRIAL = cv2.imencode(".jpg", np.full((64, 64, 3), 127, np.uint8))[1].tobytes()

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Asked:
    value: bytes
    done: bool = False
    pixels: NDArray[np.uint8] | None = None


class GpuJpegs:
    """Decodes JPEGs for several threads at a time: those that wait meanwhile are the next batch.

    Args:
        on_cpu: by the library's decoders for CPUs, as tests do where there is no GPU.
        library: in the place of the installed one; passed in by tests.

    Raises:
        ConfigError: the library is not installed, or no GPU here decodes JPEGs.
    """

    def __init__(self, *, on_cpu: bool = False, library: Any = None) -> None:
        self._library = library or _installed()
        self._decoder = self._opened(on_cpu=on_cpu)
        self._as_opencv = self._library.DecodeParams(
            color_spec=self._library.ColorSpec.SRGB,
            sample_format=self._library.SampleFormat.I_BGR,
        )
        self._waiting: list[_Asked] = []
        self._lock = Lock()
        self._turn = Lock()
        [tried] = self._batch([_TRIAL])
        if tried is None:
            raise ConfigError(
                f"{_WHERE}: no JPEG can be decoded on the GPU here; nvJPEG comes with "
                f"pip install 'streamer[nvimgcodec]'; or {_INSTEAD}"
            )

    def decode(self, value: bytes) -> NDArray[np.uint8] | None:
        """Decode to BGR, upright by EXIF; None for what the CPU is to read."""
        asked = _Asked(value)
        with self._lock:
            self._waiting.append(asked)
        with self._turn:
            if not asked.done:
                self._answer_all()
        return asked.pixels

    def _answer_all(self) -> None:
        with self._lock:
            asked, self._waiting = self._waiting, []
        try:
            found = self._batch([one.value for one in asked])
        except RuntimeError as error:  # the device is short of memory, say
            _log.warning("JPEGs are decoded on the CPU", count=len(asked), error=str(error))
            found = [None] * len(asked)
        for one, pixels in zip(asked, found, strict=True):
            one.pixels, one.done = pixels, True

    def _batch(self, values: list[bytes]) -> list[NDArray[np.uint8] | None]:
        images = self._decoder.decode(values, params=self._as_opencv)
        return [None if image is None else np.asarray(image.cpu()) for image in images]

    def _opened(self, *, on_cpu: bool) -> Any:
        library = self._library
        kinds = library.BackendKind
        backends: tuple[Any, ...] = (kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU)
        device = -1  # the process's current GPU
        if on_cpu:
            backends, device = (kinds.CPU_ONLY,), library.NVIMGCODEC_DEVICE_CPU_ONLY
        try:
            return library.Decoder(
                device_id=device,
                backends=[library.Backend(kind) for kind in backends],
                options=_LIKE_THE_CPU,
            )
        except RuntimeError as error:
            raise ConfigError(f"{_WHERE}: no GPU is here ({error}); {_INSTEAD}") from error


def _installed() -> Any:
    try:
        from nvidia import nvimgcodec
    except ImportError as error:
        raise ConfigError(
            f"{_WHERE} needs nvImageCodec: pip install 'streamer[nvimgcodec]'; or {_INSTEAD}"
        ) from error
    return nvimgcodec
