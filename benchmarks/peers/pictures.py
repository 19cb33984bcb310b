"""What one writes by hand for pictures: decode, resize, run, read what came out.

The peers of the picture benchmarks use it, and the loop in memory that all are compared with.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
_STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)
_TOP = 5
_STRIDES = (8, 16, 32)
_PAD, _THRESHOLD, _IOU = 114, 0.4, 0.5
_ITEMS = 8


class Pictures(ABC):
    """A model for pictures; `decode` is `exact` or `fast`, as streamer has it."""

    side: int
    given: str

    def __init__(self, folder: str, decode: str, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        self._session = onnxruntime.InferenceSession(
            str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._decode = decode

    def found(self, values: Sequence[bytes]) -> list[Any]:
        """Answer pictures in one batch whose array is written to once."""
        batch = np.empty((len(values), 3, self.side, self.side), np.float32)
        places = [self.placed(row, *self.decoded(value)) for row, value in zip(batch, values)]  # noqa: B905 - as many rows as values
        [outputs] = self._session.run(None, {self.given: batch})
        return [self.read(output, place) for output, place in zip(outputs, places, strict=True)]

    def found_alike(self, values: Sequence[bytes]) -> list[Any]:
        """Answer pictures in batches; all are of one size once they are resized."""
        return [
            found
            for at in range(0, len(values), _ITEMS)
            for found in self.found(values[at : at + _ITEMS])
        ]

    def decoded(self, value: bytes) -> tuple[NDArray[np.uint8], int]:
        """Decode whole, or at a part of the size that is twice the input's at the least."""
        encoded: Any = np.frombuffer(value, np.uint8)
        if self._decode == "fast":
            shorter = min(_size(value))
            for part, flag in _REDUCED:
                if shorter >= 2 * self.side * part:
                    return cv2.imdecode(encoded, flag), part  # type: ignore[return-value]
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR), 1  # type: ignore[return-value]

    @abstractmethod
    def placed(self, row: NDArray[np.float32], pixels: NDArray[np.uint8], part: int) -> float:
        """Write a picture into its row; give pixels of the original for one of the row."""

    @abstractmethod
    def read(self, output: NDArray[np.float32], scale: float) -> Any:
        """Read one answer off the model's output."""

    @staticmethod
    def written(found: Any) -> bytes:
        """Write an answer."""
        return json.dumps({"output": found}).encode()


class Classifier(Pictures):
    """The five likeliest of the MobileNet's classes."""

    side, given = 224, "pixels"

    def placed(self, row: NDArray[np.float32], pixels: NDArray[np.uint8], part: int) -> float:
        """See `Pictures.placed`."""
        small = cv2.resize(pixels, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        planes = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
        np.multiply(planes, np.float32(1 / 255) / _STD, out=row)
        np.subtract(row, _MEAN / _STD, out=row)
        return part * pixels.shape[1] / self.side

    def read(self, output: NDArray[np.float32], scale: float) -> list[dict[str, Any]]:
        """See `Pictures.read`."""
        del scale
        shares = np.exp(output - output.max())
        shares /= shares.sum()
        best = np.argsort(-shares)[:_TOP]
        return [{"label": f"LABEL_{at}", "score": float(shares[at])} for at in best]


class Detector(Pictures):
    """A YOLOX at 320 pixels, its boxes suppressed class by class."""

    side, given = 320, "images"

    def __init__(self, folder: str, decode: str, threads: int | None = None) -> None:
        super().__init__(folder, decode, threads)
        grids = [
            np.stack(np.meshgrid(*[np.arange(self.side // stride)] * 2), -1).reshape(-1, 2)
            for stride in _STRIDES
        ]
        self._cells = np.concatenate(grids).astype(np.float32)
        counts = [len(grid) for grid in grids]
        self._strides = np.repeat(np.array(_STRIDES, np.float32), counts)[:, None]

    def placed(self, row: NDArray[np.float32], pixels: NDArray[np.uint8], part: int) -> float:
        """See `Pictures.placed`."""
        height, width = pixels.shape[:2]
        scale = min(self.side / height, self.side / width)
        wide, high = round(width * scale), round(height * scale)
        row[:] = _PAD
        small = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_LINEAR)
        row[:, :high, :wide] = small.transpose(2, 0, 1)
        return part / scale

    def read(self, output: NDArray[np.float32], scale: float) -> list[dict[str, Any]]:
        """See `Pictures.read`."""
        likely = np.flatnonzero(output[:, 4] >= _THRESHOLD)
        found = output[likely]
        labels = found[:, 5:].argmax(axis=1)
        scores = found[:, 4] * found[np.arange(len(found)), labels + 5]
        centres = (found[:, :2] + self._cells[likely]) * self._strides[likely]
        sides = np.exp(found[:, 2:4]) * self._strides[likely]
        boxes = np.concatenate([centres - sides / 2, sides], axis=1) * scale
        if not len(boxes):
            return []
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), labels.tolist(), _THRESHOLD, _IOU
        )
        return [
            {
                "label": f"LABEL_{labels[at]}",
                "score": float(scores[at]),
                "box": dict(
                    zip(("xmin", "ymin", "width", "height"), boxes[at].tolist(), strict=True)
                ),
            }
            for at in kept
        ]


def _size(value: bytes) -> tuple[int, int]:
    """Read width and height off a baseline JPEG as OpenCV writes it."""
    at = value.index(b"\xff\xc0")
    return int.from_bytes(value[at + 7 : at + 9]), int.from_bytes(value[at + 5 : at + 7])
