"""The project's own networks: small, of plain convolutions, which CPUs run best."""

from typing import Any

import torch
from torch import Tensor, nn


class Convolution(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, into: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two convolutions through half the channels, beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            Convolution(channels, channels // 2, 1), Convolution(channels // 2, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add to `x` what was learnt to add."""
        return x + self.inner(x)


def _stage(into: int, out: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(Convolution(into, out, stride=2), *(Residual(out) for _ in range(blocks)))


class Head(nn.Module):
    """One level's answers: box, objectness and labels of every cell."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.stem = Convolution(channels, channels)
        self.what = nn.Sequential(Convolution(channels, channels), nn.Conv2d(channels, labels, 1))
        self.where = nn.Sequential(Convolution(channels, channels), nn.Conv2d(channels, 5, 1))
        for branch in (self.what, self.where):
            last = branch[-1]
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
        nn.init.constant_(self.what[-1].bias, -2.0)
        nn.init.constant_(self.where[-1].bias[4:], -4.6)  # objectness starts at 0.01

    def forward(self, x: Tensor) -> Tensor:
        """Give [N, cells, 5 + labels]: offsets, log sizes, logits."""
        x = self.stem(x)
        return torch.cat([self.where(x), self.what(x)], 1).flatten(2).transpose(1, 2)


class Detector(nn.Module):
    """A detector without anchors, on three levels, whose answer has YOLOX's raw form."""

    strides = (8, 16, 32)

    def __init__(self, labels: int, neck: int = 48) -> None:
        super().__init__()
        widths = (64, 96, 128)
        self.low = nn.Sequential(Convolution(3, 16, stride=2), _stage(16, 32, 1))
        self.stages = nn.ModuleList(
            [
                _stage(32, widths[0], 2),
                _stage(widths[0], widths[1], 2),
                _stage(widths[1], widths[2], 2),
            ]
        )
        self.lateral = nn.ModuleList(Convolution(width, neck, 1) for width in widths)
        self.smooth = nn.ModuleList(Convolution(neck, neck) for _ in widths)
        self.heads = nn.ModuleList(Head(neck, labels) for _ in widths)

    def forward(self, images: Tensor) -> Tensor:
        """Detect.

        Args:
            images: float32 [N, 3, height, width], BGR 0..255; sides are multiples of 32.

        Returns:
            float32 [N, cells, 5 + labels], levels from fine to coarse: offsets from the cell in
            cells, log of the size in cells, logits of objectness and labels.
        """
        x = self.low(images / 64 - 2)
        levels = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        for index in (1, 0):
            above = nn.functional.interpolate(levels[index + 1], scale_factor=2.0, mode="nearest")
            levels[index] = levels[index] + above
        answers = [
            head(smooth(level))
            for head, smooth, level in zip(self.heads, self.smooth, levels, strict=True)
        ]
        return torch.cat(answers, 1)


class Exported(nn.Module):
    """The detector as it is exported: logits through the sigmoid."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """Detect, scores in 0..1."""
        raw = self.detector(images)
        return torch.cat([raw[..., :4], raw[..., 4:].sigmoid()], -1)


class Classifier(nn.Module):
    """A classifier of small crops."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(3, 24),
            _stage(24, 48, 1),
            _stage(48, 96, 1),
            _stage(96, 128, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(128, kinds),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Give logits [N, kinds] of normalised RGB crops."""
        logits: Tensor = self.layers(images)
        return logits


class Texts(nn.Module):
    """A classifier of texts: words, what stands beside them, the strongest sign of each kind.

    After Y. Kim 2014, "Convolutional neural networks for sentence classification"; padding takes no
    part in it, so that a text is answered alike whatever stands beside it in a batch.
    """

    def __init__(self, vocabulary: int, labels: int, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.beside = nn.ModuleList(
            nn.Conv1d(width, width, size, padding=size // 2) for size in (1, 3)
        )
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(2 * width, labels)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Give logits [N, labels] of token ids [N, L], mask 1 where there is text."""
        there = mask[:, None, :].to(self.words.weight.dtype)
        words = self.words(ids).transpose(1, 2) * there
        seen = [(layer(words).relu() * there).amax(2) for layer in self.beside]
        found: Tensor = self.last(self.dropout(torch.cat(seen, 1)))
        return found


def built(config: dict[str, Any], labels: int) -> nn.Module:
    """Build the network that a configuration names.

    Args:
        config: `network`: boxes, pictures or texts; with `vocab_size` for texts.
        labels: how many it answers.

    Raises:
        KeyError: there is no such network.
    """
    network = config["network"]
    if network == "boxes":
        return Exported(Detector(labels))
    if network == "pictures":
        return Classifier(labels)
    if network == "texts":
        return Texts(config["vocab_size"], labels)
    raise KeyError(network)
