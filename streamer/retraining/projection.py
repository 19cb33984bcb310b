"""The strategy `head` for sentence similarity: the embedding turned and stretched, without Torch.

A square matrix behind the frozen embedder, which begins as the identity and is drawn towards it, so
that the cosines of pairs come near to their scores.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import Head
from streamer.graphs.headed import projected
from streamer.models import Version
from streamer.models.manifest import Manifest
from streamer.retraining.challenger import Challenger, TooLittleError, successor
from streamer.retraining.config import Strategy
from streamer.retraining.examples import Side
from streamer.retraining.features import Features, Floats, Parts
from streamer.retraining.heads import TOLERANCE
from streamer.retraining.lesson import Lesson
from streamer.retraining.losses import Matrix, optimiser
from streamer.retraining.runner import Runner

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_STEPS = 60
_LEAST = 10
_TINY = 1e-9
_COMPARED = 32
_SEQUENCE = 2
_SIDES: tuple[Side, ...] = ("train", "validation")
Pairs = tuple[Matrix, Matrix, Matrix]
"""The vectors of first and second sentences, [n, width], and their scores, [n]."""


class Projection:
    """Learns a matrix behind an embedder.

    Args:
        strategy: how.
        features: computes embeddings.
        threads: CPU threads.
    """

    def __init__(self, strategy: Strategy, features: Features, threads: int) -> None:
        self._strategy = strategy
        self._features = features
        self._threads = threads

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of it.
        """
        name = embedding_of(version.manifest)
        if version.file.suffix != ".onnx":
            raise ConfigError(f"strategy.kind: head: {version.file} is no ONNX file")
        return f"a matrix on the embedding '{name}', drawn towards leaving it as it is"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""
        name = embedding_of(champion.manifest)
        head = Head(name, name)
        pairs = {
            side: _pairs(
                self._features.of(champion, head, lesson.sides[side], check, folder),
                lesson.sides[side].answers,
                champion.manifest.outputs[name].pooling,
            )
            for side in _SIDES
        }
        if len(pairs["train"][2]) < _LEAST or np.ptp(pairs["train"][2]) == 0:
            raise TooLittleError("fewer than ten pairs, or all of one score: nothing to learn from")
        judged = pairs["validation"] if len(pairs["validation"][2]) else pairs["train"]
        best: tuple[float, float, Matrix] | None = None
        tried = []
        for penalty in _PENALTIES:
            check()
            found = _minimised(pairs["train"], penalty, check)
            loss = error_of(found, judged)
            told = {"penalty": penalty, "towards": "champion", "validation": loss}
            tried.append({**told, "train": error_of(found, pairs["train"])})
            if best is None or loss < best[0]:
                best = (loss, penalty, found)
        assert best is not None  # noqa: S101 - there is always a penalty
        _, penalty, found = best
        if len(pairs["validation"][2]):  # what chose the penalty is learnt from, too
            both = tuple(np.concatenate(sides) for sides in zip(*pairs.values(), strict=True))
            found = _minimised((both[0], both[1], both[2]), penalty, check)
        matrix = found.astype(np.float32)
        version = successor(
            champion, folder, (), lambda file: projected(champion.file, name, matrix, file)
        )
        parity = self._parity(version, lesson, champion, name, matrix)
        return Challenger(version, parity, tuple(tried), "a matrix behind the frozen embedder")

    def _parity(
        self,
        version: Version,
        lesson: Lesson,
        champion: Version,
        name: str,
        matrix: NDArray[np.float32],
    ) -> float:
        """Compare the written file with the champion's vectors by the matrix.

        Raises:
            ModelError: they differ by more than sums in another order do.
        """
        samples = lesson.sides["train"].samples[:_COMPARED]
        with Runner(champion, threads=self._threads) as old:
            before: list[Any] = old.parts(samples, [name])
        most = 0.0
        with Runner(version, threads=self._threads) as new:
            for size in (1, 3, len(samples)):
                after: list[Any] = new.parts(samples[:size], [name])
                for was, now in zip(before[:size], after, strict=True):
                    for one, other in zip(was or (), now or (), strict=True):
                        expected = one[name] @ matrix.T
                        off = np.abs(expected - other[name]).max()
                        most = max(most, float(off) / max(float(np.abs(expected).max()), 1.0))
        if not most <= TOLERANCE:
            raise ModelError(
                f"the written file is {most:.2g} off what was learnt, more than {TOLERANCE:g}"
            )
        return most


def embedding_of(manifest: Manifest) -> str:
    """Name the output that a bi-encoder's vectors are in.

    Raises:
        ConfigError: it has none.
    """
    found = [name for name, output in manifest.outputs.items() if output.decode == "embedding"]
    if len(found) != 1:
        raise ConfigError(
            f"model {manifest.name}: no one output with decode: embedding to learn on; a model "
            "that reads both sentences together learns by strategy: {kind: finetune}"
        )
    return found[0]


def _pairs(found: Sequence[Parts | None], answers: Sequence[Any], pooling: str | None) -> Pairs:
    kept = [
        (_pooled(parts[0], pooling), _pooled(parts[1], pooling), float(answer))
        for parts, answer in zip(found, answers, strict=True)
        if parts is not None and len(parts) == _SEQUENCE
    ]
    if not kept:
        return np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0)
    first, second, scores = zip(*kept, strict=True)
    return np.stack(first), np.stack(second), np.array(scores)


def _pooled(vectors: Floats, pooling: str | None) -> Matrix:
    if vectors.ndim < _SEQUENCE:
        return vectors.astype(np.float64)
    rows = vectors[:1] if pooling == "cls" else vectors
    found: Matrix = rows.reshape(-1, vectors.shape[-1]).mean(axis=0, dtype=np.float64)
    return found


def _cosines(matrix: Matrix, pairs: Pairs) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
    first, second = pairs[0] @ matrix.T, pairs[1] @ matrix.T
    lengths = [np.maximum(np.linalg.norm(one, axis=1), _TINY) for one in (first, second)]
    first, second = first / lengths[0][:, None], second / lengths[1][:, None]
    return (first * second).sum(axis=1), first, second, lengths[0], lengths[1]


def error_of(matrix: Matrix, pairs: Pairs) -> float:
    """Give the mean squared difference of cosines and scores."""
    return float(((_cosines(matrix, pairs)[0] - pairs[2]) ** 2).mean())


def _minimised(pairs: Pairs, penalty: float, check: Callable[[], None]) -> Matrix:
    width = pairs[0].shape[1]
    origin = np.eye(width)

    def cost(flat: Matrix) -> tuple[float, Matrix]:
        check()
        matrix = flat.reshape(width, width)
        cosine, first, second, one, other = _cosines(matrix, pairs)
        off = cosine - pairs[2]
        pull = (2 * off / len(off))[:, None]
        to_first = pull * (second - cosine[:, None] * first) / one[:, None]
        to_second = pull * (first - cosine[:, None] * second) / other[:, None]
        away = matrix - origin
        slope = to_first.T @ pairs[0] + to_second.T @ pairs[1] + penalty / width * away
        total = float((off**2).mean()) + 0.5 * penalty / width * float((away**2).sum())
        return total, slope.reshape(-1)

    found = optimiser().minimize(
        cost, origin.reshape(-1), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    matrix: Matrix = found.x.reshape(width, width)
    return matrix
