"""How good two versions are, record by record, whatever the task: what the gate decides by.

Every record has a figure whose mean is the metric. For accuracy that is 0 or 1. For metrics that
are no means (F1, Spearman's rank correlation, average precision) it is the record's pseudo-value:
the metric, and what this record adds to it, to first order (B. Efron, R. Tibshirani 1993, "An
introduction to the bootstrap", chapter 11), so that one paired test serves all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class OfClass:
    """Both versions on one class.

    Attributes:
        examples: held-out records that have it.
        champion: figures whose mean is how good it is on the class.
        challenger: the same.
    """

    examples: int
    champion: Figures
    challenger: Figures


@dataclass(frozen=True)
class Marks:
    """Both versions on the same records, in one order.

    Attributes:
        metric: what is compared.
        gains: by how much the challenger is better on each record, in terms of the metric.
        champion: figures as people know them, whose mean is shown.
        challenger: the same.
        exact: whether figures are 0 or 1: then signs can be counted.
        clusters: what is drawn together.
        old: records of which the champion knows all labels.
    """

    metric: str
    gains: Figures
    champion: Figures
    challenger: Figures
    exact: bool
    clusters: Sequence[str]
    old: NDArray[np.bool_]
    classes: Mapping[str, OfClass]


def f1_figures(hits: Figures, given: Figures, right: Figures) -> Figures:
    """Give pseudo-values of micro-averaged F1.

    Args:
        hits: [n], how much of what a record's answer names is right.
        given: [n], how much it names.
        right: [n], how much would be right.
    """
    both = given + right
    if not both.sum():
        return np.ones(len(hits))
    whole = float(2 * hits.sum() / both.sum())
    found: Figures = whole + (2 * hits - whole * both) / both.mean()
    return found


def correlation_figures(answers: Figures, right: Figures) -> Figures:
    """Give pseudo-values of Spearman's rank correlation."""
    one, other = _standardised(_ranks(answers)), _standardised(_ranks(right))
    whole = float((one * other).mean())
    found: Figures = whole + one * other - whole * (one**2 + other**2) / 2
    return found


def _ranks(values: Figures) -> Figures:
    """Rank values; equal ones share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Figures = (ends - (counts - 1) / 2)[places].astype(np.float64)
    return found


def _standardised(values: Figures) -> Figures:
    spread = float(values.std())
    found: Figures = (values - values.mean()) / spread if spread else np.zeros(len(values))
    return found
