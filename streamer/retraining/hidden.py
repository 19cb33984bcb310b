"""A head with a hidden layer, for classes that no plane separates; fitted as the linear one is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.retraining.fitting import Fitted, Known, together
from streamer.retraining.linear import Linear, Scaling
from streamer.retraining.losses import Matrix, loss_and_slope, nll, optimiser

_PENALTIES = (1e-4, 1e-3, 1e-2)
_STEPS = 300
_IMPROBABLE = -4.0


@dataclass(frozen=True)
class Mlp:
    """Features to hidden units, those above 0 to logits."""

    hidden: Linear
    last: Linear

    def logits(self, features: NDArray[Any]) -> Matrix:
        """Give [n, labels]."""
        return self.last.logits(np.maximum(self.hidden.logits(features), 0.0))

    @property
    def layers(self) -> tuple[Linear, ...]:
        """Give what is written into a graph."""
        return self.hidden, self.last


def fit_mlp(  # noqa: PLR0913 - what the fit depends on
    train: Known,
    validation: Known,
    labels: int,
    *,
    width: int,
    prior: Mlp | None,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> Fitted:
    """Fit a head with one hidden layer; then once more, as chosen, with the validation set, too.

    Args:
        train: what is learnt from.
        validation: what the penalty is chosen by; the training set where it is empty.
        labels: how many there are, new ones included.
        width: hidden units.
        prior: the head that serves, if it has a hidden layer of this width: where it begins.
        seed: of the weights that it begins with otherwise.
        check: called now and then; raises to end the work.

    Raises:
        ConfigError: scipy is not installed.
    """
    scaling = Scaling.of(train.features)
    scaled = scaling.apply(train.features)
    judged = validation if len(validation.targets) else train
    start, begun = _random(scaled.shape[1], width, labels, seed), "random weights"
    if prior is not None and prior.hidden.weights.shape == (width, scaled.shape[1]):
        start, begun = _grown(prior, labels, scaling), "champion"
    best: tuple[float, float, Mlp] | None = None
    tried = []
    for penalty in _PENALTIES:
        check()
        found = _minimised(scaled, train, start, penalty, check)
        head = Mlp(scaling.unscaled(found.hidden), found.last)
        loss = nll(head.logits(judged.features), judged.targets)
        told = {"penalty": penalty, "towards": begun, "validation": loss}
        tried.append({**told, "train": nll(head.logits(train.features), train.targets)})
        if best is None or loss < best[0]:
            best = (loss, penalty, head)
    assert best is not None  # noqa: S101 - there is always a penalty
    _, penalty, head = best
    if len(validation.targets):
        both = together(train, validation)
        found = _minimised(scaling.apply(both.features), both, start, penalty, check)
        head = Mlp(scaling.unscaled(found.hidden), found.last)
    return Fitted(head, tuple(tried))


def _random(features: int, width: int, labels: int, seed: int) -> Mlp:
    """Draw weights so that units keep their spread (K. He et al. 2015)."""
    rng = np.random.default_rng(seed)
    first = rng.normal(scale=np.sqrt(2 / features), size=(width, features))
    last = rng.normal(scale=np.sqrt(1 / width), size=(labels, width))
    return Mlp(Linear(first, np.zeros(width)), Linear(last, np.zeros(labels)))


def _grown(prior: Mlp, labels: int, scaling: Scaling) -> Mlp:
    """Write a head for features that are centred and scaled; new labels begin improbable."""
    count, width = prior.last.weights.shape
    last = Linear(np.zeros((labels, width)), np.full(labels, prior.last.bias.min() + _IMPROBABLE))
    last.weights[:count], last.bias[:count] = prior.last.weights, prior.last.bias
    return Mlp(scaling.scaled(prior.hidden), last)


def _minimised(
    scaled: Matrix, train: Known, start: Mlp, penalty: float, check: Callable[[], None]
) -> Mlp:
    parts = (start.hidden.weights, start.hidden.bias, start.last.weights, start.last.bias)
    edges = np.cumsum([part.size for part in parts])[:-1]

    def opened(flat: Matrix) -> list[Matrix]:
        split = np.split(flat, edges)
        return [one.reshape(part.shape) for one, part in zip(split, parts, strict=True)]

    def cost(flat: Matrix) -> tuple[float, Matrix]:
        check()
        first, first_bias, last, last_bias = opened(flat)
        units = np.maximum(scaled @ first.T + first_bias, 0.0)
        loss, off = loss_and_slope(units @ last.T + last_bias, train.targets, train.weights)
        back = (off @ last) * (units > 0)
        slopes = (
            back.T @ scaled + penalty * first,
            back.sum(axis=0),
            off.T @ units + penalty * last,
            off.sum(axis=0),
        )
        total = loss + 0.5 * penalty * float((first**2).sum() + (last**2).sum())
        return total, np.concatenate([one.reshape(-1) for one in slopes])

    begin = np.concatenate([part.reshape(-1) for part in parts])
    found = optimiser().minimize(
        cost, begin, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    first, first_bias, last, last_bias = opened(found.x)
    return Mlp(Linear(first, first_bias), Linear(last, last_bias))
