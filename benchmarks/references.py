"""What anybody would write first: scikit-learn on features, a short loop over Torch.

No streamer in it but for the networks that both sides learn, so that only the learning differs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

Floats = NDArray[np.float32]
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 3


def logistic(features: Floats, labels: Sequence[str], asked: Floats) -> list[str]:
    """Answer by logistic regression, its strength found by cross-validation."""
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    grid = {"logisticregression__C": list(_STRENGTHS)}
    found = GridSearchCV(plain, grid, cv=_FOLDS).fit(features, list(labels))
    return [str(one) for one in found.predict(asked)]


def ridge(first: Floats, second: Floats, scores: Floats, asked: tuple[Floats, Floats]) -> Floats:
    """Answer similarities by ridge regression on how two vectors differ and agree."""

    def of(one: Floats, other: Floats) -> Floats:
        both: Floats = np.concatenate([np.abs(one - other), one * other], axis=1)
        return both

    plain = make_pipeline(StandardScaler(), Ridge())
    grid = {"ridge__alpha": [1.0, 10.0, 100.0, 1000.0]}
    found = GridSearchCV(plain, grid, cv=_FOLDS).fit(of(first, second), scores)
    answer: Floats = found.predict(of(*asked))
    return answer


def looped(  # noqa: PLR0913 - what a loop is made of
    network: nn.Module,
    loss: Callable[[Sequence[int]], Tensor],
    count: int,
    *,
    epochs: int,
    size: int,
    rate: float,
    seed: int,
) -> None:
    """Minimise by AdamW over shuffled batches at a falling rate: nothing else.

    Args:
        network: what learns.
        loss: of the examples at some places.
        count: of examples.
        epochs: how often each is seen.
        size: of a batch.
        rate: the learning rate at the beginning.
        seed: of the order.
    """
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * ((count + size - 1) // size)
    course = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (steps + 1))
    network.train()
    for _ in range(epochs):
        for places in torch.randperm(count).split(size):
            optimiser.zero_grad()
            value: Any = loss(places.tolist())
            value.backward()
            optimiser.step()
            course.step()
    network.eval()
