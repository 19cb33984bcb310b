"""The best that one would write by hand for pictures in memory: no streamer in it.

Threads, as many as cores, decode, resize and run batches of their own; how many pictures a batch
has is tried first. `python -m benchmarks.raw_images WORK-DECODE MODEL COUNT [ITEMS]` prints
pictures a second.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import cv2

from benchmarks import inputs
from benchmarks.peers.pictures import Classifier, Detector, Pictures
from streamer.runtime import usable_cores

_TRIED = 80
_ITEMS = (1, 4, 8, 16)


def rate_of(values: list[bytes], models: list[Pictures], items: int) -> float:
    """Answer pictures; give how many a second."""
    batches = [values[at : at + items] for at in range(0, len(values), items)]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(models)) as pool:
        list(pool.map(lambda model, batch: model.found(batch), cycle(models), batches))
    return len(values) / (time.perf_counter() - began)


def main(told: str, folder: str, count: str, items: str | None = None) -> None:
    """Print the rate."""
    cv2.setNumThreads(1)
    kind, _, decode = told.partition("-")
    chosen = {"classes": Classifier, "boxes": Detector}[kind]
    models: list[Pictures] = [chosen(folder, decode, 1) for _ in range(usable_cores())]
    values = inputs.pictures(int(count))
    rate_of(values[:4], models, 1)
    if items is None:
        items = str(max(_ITEMS, key=lambda size: rate_of(values[:_TRIED], models, size)))
    worked = time.process_time()
    rate = rate_of(values, models, int(items))
    cpu_ms = (time.process_time() - worked) / len(values) * 1000
    print(json.dumps({"plan": items, "rate": rate, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
