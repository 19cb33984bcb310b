"""What both trainings share: the rate's course and the averaged weights."""

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


def seeded(seed: int, threads: int) -> None:
    """Fix Torch's random state and its number of threads: both decide the result."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads any


def rate(step: int, steps: int, peak: float) -> float:
    """Give the learning rate: up over the first 3 % of the steps, then down by a half cosine."""
    warm = max(1, round(steps * 0.03))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2)


def optimiser(network: nn.Module, peak: float) -> torch.optim.Optimizer:
    """Make an AdamW that leaves biases and norms undecayed."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.02},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=peak)


class Averaged:
    """Exponentially averaged weights: what is evaluated and exported."""

    def __init__(self, network: nn.Module, decay: float = 0.998) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the averages towards the network; faster over the first updates."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for mine, its in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mine.is_floating_point():
                mine.lerp_(its, 1 - decay)
            else:
                mine.copy_(its)


def shuffled(rng: np.random.Generator, count: int, size: int, steps: int) -> Iterator[np.ndarray]:
    """Yield the indices of `steps` batches, epoch after epoch."""
    order = rng.permutation(count)
    at = 0
    for _ in range(steps):
        if at + size > count:
            order, at = rng.permutation(count), 0
        yield order[at : at + size]
        at += size
