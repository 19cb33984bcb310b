"""A small module of Torch in every form that a file may have, and a pickle that is a trap."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from streamer.models import Manifest, Version

IMAGE = {"kind": "image", "size": {"height": 8, "width": 8}}
HERE = Path(tempfile.gettempdir()) / "streamer-was-here"
"""What there is once the trap was opened."""


class Net(nn.Module):
    """Two outputs of a picture, one of them not by the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.conv(pixels).mean((2, 3))
        return self.head(states), states


def net_files(folder: Path) -> Path:
    """Write it traced, scripted and exported."""
    net = Net().eval()
    example = torch.zeros(2, 3, 8, 8)
    torch.jit.save(torch.jit.trace(net, example), folder / "model.pt")
    torch.jit.save(torch.jit.script(net), folder / "scripted.ts")
    free = {"pixels": {0: torch.export.Dim("batch")}}
    torch.export.save(
        torch.export.export(net, (example,), dynamic_shapes=free), folder / "model.pt2"
    )
    return folder


def version(file: Path, **manifest: Any) -> Version:
    """Describe one of its files."""
    described = {
        "name": "net",
        "task": "image-classification",
        "inputs": {"pixels": IMAGE},
        "outputs": {"logits": {"decode": "logits"}, "states": {"decode": "ignore"}},
        **manifest,
    }
    return Version(folder=file.parent, manifest=Manifest.model_validate(described), file=file)


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (HERE,))
