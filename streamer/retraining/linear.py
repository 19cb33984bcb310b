"""A layer of a head, and the centring and scaling of features that it is fitted under."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.retraining.losses import Matrix

_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Linear:
    """Weights [labels, features] and bias [labels]."""

    weights: Matrix
    bias: Matrix

    def logits(self, features: NDArray[Any]) -> Matrix:
        """Give [n, labels]."""
        found: Matrix = features @ self.weights.T + self.bias
        return found

    @property
    def layers(self) -> "tuple[Linear, ...]":
        """Give what is written into a graph."""
        return (self,)


@dataclass(frozen=True)
class Scaling:
    """What makes features comparable, so that one penalty suits them all.

    Attributes:
        middle: [features], taken off.
        spread: [features], divided by.
    """

    middle: Matrix
    spread: Matrix

    @classmethod
    def of(cls, features: Matrix) -> "Scaling":
        """Take mean and standard deviation of features, [n, features]."""
        return cls(features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_SPREAD))

    def apply(self, features: Matrix) -> Matrix:
        """Centre and scale."""
        found: Matrix = (features - self.middle) / self.spread
        return found

    def scaled(self, layer: Linear) -> Linear:
        """Write a layer for features that are scaled: it gives the same logits."""
        return Linear(layer.weights * self.spread, layer.bias + layer.weights @ self.middle)

    def unscaled(self, layer: Linear) -> Linear:
        """Write a layer of scaled features for those that are not."""
        weights = layer.weights / self.spread
        return Linear(weights, layer.bias - weights @ self.middle)
