"""The best that one would write by hand for pictures in memory: no streamer in it.

Threads, as many as cores, decode, resize and run batches of their own; what a batch is made of is
preallocated. `python -m benchmarks.raw_images MODEL COUNT DECODE ITEMS` prints pictures a second.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from benchmarks import inputs

_SIDE = 224
_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
_STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def classified(values: list[bytes], session: Any, decode: str) -> list[int]:
    """Classify pictures as one batch."""
    batch = np.empty((len(values), 3, _SIDE, _SIDE), np.float32)
    for row, value in zip(batch, values, strict=True):
        pixels = _decoded(value, decode)
        small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
        planes = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
        np.multiply(planes, np.float32(1 / 255) / _STD, out=row)
        np.subtract(row, _MEAN / _STD, out=row)
    [logits] = session.run(None, {"pixels": batch})
    found: list[int] = logits.argmax(axis=1).tolist()
    return found


def _decoded(value: bytes, decode: str) -> Any:
    """Decode whole, or, as streamer does, at a part of the size that is twice the input's."""
    encoded = np.frombuffer(value, np.uint8)
    if decode == "fast":
        width, height = _size(value)
        for part, flag in (
            (8, cv2.IMREAD_REDUCED_COLOR_8),
            (4, cv2.IMREAD_REDUCED_COLOR_4),
            (2, cv2.IMREAD_REDUCED_COLOR_2),
        ):
            if min(width, height) >= 2 * _SIDE * part:
                return cv2.imdecode(encoded, flag)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)


def _size(value: bytes) -> tuple[int, int]:
    """Read width and height off a baseline JPEG as OpenCV writes it."""
    at = value.index(b"\xff\xc0")
    return int.from_bytes(value[at + 7 : at + 9]), int.from_bytes(value[at + 5 : at + 7])


def main(folder: str, count: str, decode: str, items: str) -> None:
    """Print the rate."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    cores = len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)
    sessions = [
        onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"), options)
        for _ in range(cores)
    ]
    values = inputs.pictures(int(count))
    batches = [values[at : at + int(items)] for at in range(0, len(values), int(items))]
    classified(batches[0][:2], sessions[0], decode)
    began, worked = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores) as pool:
        list(
            pool.map(
                lambda one: classified(one[1], sessions[one[0] % cores], decode),
                enumerate(batches),
            )
        )
    rate = len(values) / (time.perf_counter() - began)
    cpu_ms = (time.process_time() - worked) / len(values) * 1000
    print(json.dumps({"rate": rate, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
