"""How wrong logits are: softmax where one label holds, a sigmoid each where several may."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError

Matrix = NDArray[np.float64]
_FLAT = 1


def log_softmax(logits: NDArray[Any]) -> Matrix:
    """Give the logarithms of the probabilities."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    found: Matrix = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def nll(logits: NDArray[Any], targets: NDArray[Any]) -> float:
    """Give the mean negative log-likelihood of what is right.

    Args:
        logits: [n, labels].
        targets: [n], indices of labels; or [n, labels], 1 where a label holds.
    """
    return loss_and_slope(logits, targets, np.ones(len(targets)))[0]


def sigmoid(values: NDArray[Any]) -> Matrix:
    """Give 1 / (1 + exp(-x)) without overflow."""
    found: Matrix = np.exp(-np.logaddexp(0.0, -np.asarray(values, np.float64)))
    return found


def loss_and_slope(
    logits: NDArray[Any], targets: NDArray[Any], weights: Matrix
) -> tuple[float, Matrix]:
    """Give the weighted mean loss, and its slope by the logits: [n, labels]."""
    shares = (weights / weights.sum())[:, None]
    if targets.ndim == _FLAT:
        logs = log_softmax(logits)
        rows = np.arange(len(targets))
        off = np.exp(logs)
        off[rows, targets] -= 1.0
        return float(-(shares[:, 0] * logs[rows, targets]).sum()), off * shares
    values = np.asarray(logits, np.float64)
    # log(1 + exp(x)) - x * y, summed over labels as if each were a question of its own
    losses = np.logaddexp(0.0, values) - values * targets
    slope: Matrix = (sigmoid(values) - targets) * shares
    return float((losses * shares).sum()), slope


def balanced(targets: NDArray[np.int64]) -> Matrix:
    """Weigh examples so that each class counts the same."""
    counts = np.bincount(targets)
    found: Matrix = len(targets) / (np.count_nonzero(counts) * counts[targets])
    return found


def optimiser() -> Any:
    """Give `scipy.optimize`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from scipy import optimize
    except ImportError as error:
        raise ConfigError("retraining needs scipy: pip install 'streamer[retrain]'") from error
    return optimize
