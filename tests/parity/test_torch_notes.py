"""A TorchScript detector with the notes that Ultralytics packs along, answered without a manifest.

The file is made by Torch as their exporter makes it; the network is a grid that sees colours.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn

from streamer.config import Settings
from streamer.pipeline import Predictor
from streamer.records import Image

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
]
CELL = 16
SIDE = 4
"""Cells in a row."""


class Grid(nn.Module):
    """YOLOv8's output: of each cell a box of its own size, and how red, green and blue it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        place = torch.arange(SIDE) * CELL + CELL / 2
        ys, xs = torch.meshgrid(place, place, indexing="ij")
        sides = torch.full_like(xs, CELL)
        boxes = torch.stack([xs, ys, sides, sides]).flatten(1).expand(x.shape[0], 4, -1)
        return torch.cat([boxes, nn.functional.avg_pool2d(x, CELL).flatten(2)], 1)


def test_a_detector_is_answered_by_its_notes(tmp_path):
    notes = {
        "description": "made here",
        "stride": 32,
        "task": "detect",
        "batch": 1,
        "imgsz": [SIDE * CELL, SIDE * CELL],
        "names": {0: "red", 1: "green", 2: "blue"},
        "args": {"batch": 1, "nms": False},
    }
    traced = torch.jit.trace(Grid(), torch.zeros(1, 3, SIDE * CELL, SIDE * CELL))
    file = tmp_path / "colours.torchscript"
    traced.save(str(file), _extra_files={"config.txt": json.dumps(notes)})
    pixels = np.zeros((128, 256, 3), np.uint8)  # a quarter of it, padded by 16 above and below
    pixels[0:64, 64:128] = (0, 0, 255)
    pixels[64:128, 192:256] = (0, 255, 0)
    predictor = Predictor.open(str(file), Settings())
    try:
        [found] = predictor.predict([Image(pixels)])
    finally:
        predictor.close()
    told = {(entry["label"], *entry["box"].values()) for entry in found if entry["score"] > 0.99}
    assert told == {("red", 64, 0, 128, 64), ("green", 192, 64, 256, 128)}
    assert {entry["label"] for entry in found} == {"red", "green"}
