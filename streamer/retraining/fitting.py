"""A linear head fitted to features: logistic regression, drawn towards a given head.

Labels that exclude each other share one softmax; where several may hold, each has a sigmoid.

The penalty draws the weights towards those of the version that serves instead of towards 0: classes
of which there are few examples, or none, stay as they were (proximal, or biased, regularisation:
J. Yang, R. Yan, A. Hauptmann 2007, "Cross-domain video concept detection using adaptive SVMs").
Where every class has examples the usual penalty is tried, too; validation chooses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.retraining.linear import Linear, Scaling
from streamer.retraining.losses import Matrix, loss_and_slope, nll, optimiser

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_STEPS = 200


class Fit(Protocol):
    """What was fitted: logits of features, and the layers that compute them."""

    def logits(self, features: NDArray[Any]) -> Matrix:
        """Give [n, labels]."""

    @property
    def layers(self) -> tuple[Linear, ...]:
        """Give what is written into a graph; between two layers units below 0 are 0."""


@dataclass(frozen=True)
class Known:
    """Features with their labels.

    Attributes:
        features: [n, features].
        targets: [n], indices of labels; or [n, labels], 1 where a label holds.
        weights: [n], what each counts.
    """

    features: Matrix
    targets: NDArray[Any]
    weights: Matrix


@dataclass(frozen=True)
class Fitted:
    """The head that validation chose.

    Attributes:
        tried: what was tried: penalty, what it draws towards, loss on validation and training.
    """

    head: Fit
    tried: tuple[dict[str, Any], ...]


def fit_head(
    train: Known,
    validation: Known,
    labels: int,
    prior: Linear | None,
    check: Callable[[], None] = lambda: None,
) -> Fitted:
    """Fit a head; what validation has chosen is fitted once more with the validation set, too.

    Args:
        train: what is learnt from.
        validation: what the penalty is chosen by; the training set where it is empty.
        labels: how many there are, new ones included.
        prior: the head that serves, of the same features; it may have fewer labels.
        check: called now and then; raises to end the work.

    Raises:
        ConfigError: scipy is not installed.
    """
    scaling = Scaling.of(train.features)
    scaled = scaling.apply(train.features)
    judged = validation if len(validation.targets) else train
    seen = _seen(train.targets)
    starts = [("champion", _grown(scaling.scaled(prior), labels))] if prior is not None else []
    if prior is None or (seen == labels and prior.weights.any()):
        width = train.features.shape[1]
        starts.append(("zero", Linear(np.zeros((labels, width)), np.zeros(labels))))
    best: tuple[float, Linear, float, Linear] | None = None
    tried = []
    for towards, start in starts:
        for penalty in _PENALTIES:
            check()
            found = _minimised(scaled, train, start, penalty, check)
            head = scaling.unscaled(found)
            loss = nll(head.logits(judged.features), judged.targets)
            tried.append(
                {
                    "penalty": penalty,
                    "towards": towards,
                    "validation": loss,
                    "train": nll(head.logits(train.features), train.targets),
                }
            )
            if best is None or loss < best[0]:
                best = (loss, start, penalty, head)
    assert best is not None  # noqa: S101 - there is always a start
    _, start, penalty, head = best
    if len(validation.targets):
        both = together(train, validation)
        found = _minimised(scaling.apply(both.features), both, start, penalty, check)
        head = scaling.unscaled(found)
    return Fitted(head, tuple(tried))


def together(one: Known, other: Known) -> Known:
    """Put the examples of two sides below each other."""
    return Known(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.targets, other.targets]),
        np.concatenate([one.weights, other.weights]),
    )


def _seen(targets: NDArray[Any]) -> int:
    """Count the labels that there are examples of."""
    return len(np.unique(targets)) if targets.ndim == 1 else int(targets.any(axis=0).sum())


def fit_temperature(logits: NDArray[Any], targets: NDArray[np.int64]) -> float:
    """Find what logits must be divided by for probabilities that mean what they say.

    Temperature scaling (C. Guo, G. Pleiss, Y. Sun, K. Weinberger 2017, "On calibration of modern
    neural networks").
    """
    found = optimiser().minimize_scalar(
        lambda power: nll(logits / np.exp(power), targets), bounds=(-4.0, 4.0), method="bounded"
    )
    return float(np.exp(found.x))


def _grown(prior: Linear, labels: int) -> Linear:
    """Give a head rows for new labels, which begin improbable."""
    count, width = prior.weights.shape
    weights = np.zeros((labels, width))
    bias = np.full(labels, float(prior.bias.min()) if count else 0.0)
    weights[:count], bias[:count] = prior.weights, prior.bias
    return Linear(weights, bias)


def _minimised(
    scaled: Matrix, train: Known, start: Linear, penalty: float, check: Callable[[], None]
) -> Linear:
    labels, width = start.weights.shape
    origin = np.concatenate([start.weights, start.bias[:, None]], axis=1)
    # A new label's bias is a guess: nothing draws it there.
    pull = np.full((labels, width + 1), penalty)
    pull[:, -1] = penalty * 0.01

    def cost(flat: Matrix) -> tuple[float, Matrix]:
        check()
        given = flat.reshape(labels, width + 1)
        logits = scaled @ given[:, :-1].T + given[:, -1]
        loss, off = loss_and_slope(logits, train.targets, train.weights)
        away = given - origin
        slope = np.concatenate([off.T @ scaled, off.sum(axis=0)[:, None]], axis=1) + pull * away
        return float(loss + 0.5 * (pull * away**2).sum()), slope.reshape(-1)

    found = optimiser().minimize(
        cost, origin.reshape(-1), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    given = found.x.reshape(labels, width + 1)
    return Linear(given[:, :-1], given[:, -1])
