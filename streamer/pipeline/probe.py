"""Whether what a model says of a record depends on what else is in the batch; found by trying.

It does for graphs that are quantised on the fly (one scale for the whole batch), for texts whose
padding takes part, and for networks that were left in training mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streamer.errors import ModelError, RecordError, StreamerError
from streamer.infer import Session
from streamer.models import Manifest
from streamer.preprocess import Preprocessor
from streamer.records import Image, ModelInput, Pair, Sample, Text
from streamer.tasks import WRITING

_NEARLY = 1e-5
_SIDES = (96, 128)
_TEXTS = (
    "the blue bird sings on a green tree",
    "a green bird sings on the blue tree",
    "on the tree a blue green bird sings",
    "late",
    "the blue bird that sang on a green tree came back at night and sang once more, very low",
)


@dataclass(frozen=True)
class Probe:
    """How far answers move with their batch: the largest difference of any number in them.

    It is a share of the largest number where that is above 1.

    Attributes:
        alike: among inputs of one shape; None if that was not tried.
        padded: among texts of different lengths, which are padded; None for pictures.
        why: what kept it from being tried.
    """

    alike: float | None
    padded: float | None = None
    why: str | None = None

    @property
    def spread(self) -> float:
        """The larger one of the two."""
        return max(self.alike or 0.0, self.padded or 0.0)

    @property
    def batch_invariant(self) -> Literal["exact", "1e-5", "no"]:
        """What can be relied on; `no` also for what was not tried."""
        if self.alike is None:
            return "no"
        if self.spread == 0.0:
            return "exact"
        return "1e-5" if self.spread <= _NEARLY else "no"

    def __str__(self) -> str:
        """Say it for people."""
        if self.alike is None:
            return f"batch_invariant: not tried ({self.why})"
        if self.spread == 0.0:
            return "batch_invariant: exact"
        told = f"batch_invariant: {self.batch_invariant} (numbers differ by up to {self.spread:.1g}"
        if self.alike == 0.0:
            told += ", by padding only"
        return f"{told})"


ONE_BY_ONE = Probe(0.0)
"""What is never batched does not depend on its batch."""


def probed(manifest: Manifest, session: Session, preprocessor: Preprocessor) -> Probe:
    """Run made-up records alone and together, and compare.

    Raises:
        ModelError: the model answers every one of them with numbers that are none.
    """
    why = None
    if session.stands_in:
        why = "a function stands for the model"
    elif manifest.task in WRITING:
        why = "the model writes texts"
    else:
        try:
            return _compared(session, preprocessor)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - what is made up must not keep it from serving
            kind = "" if isinstance(error, StreamerError) else f"{type(error).__name__}: "
            why = f"{kind}{error}"
    return Probe(None, why=why)


def _compared(session: Session, preprocessor: Preprocessor) -> Probe:
    def run(inputs: Sequence[ModelInput]) -> list[dict[str, Any]]:
        outputs = session.run(preprocessor.collate(inputs))
        return [
            {name: _row(value, at, len(inputs)) for name, value in outputs.items()}
            for at in range(len(inputs))
        ]

    parts = _made_up(preprocessor)
    alone = [run([part])[0] for part in parts]
    _refuse_nan(alone)
    if session.max_batch == 1:
        return ONE_BY_ONE
    same = [at for at, part in enumerate(parts) if part.length == parts[0].length]
    alike = _apart(run([parts[at] for at in same]), [alone[at] for at in same])
    if len(same) == len(parts):
        return Probe(alike)
    return Probe(alike, _apart(run(parts), alone))


def _row(value: Any, at: int, items: int) -> Any:
    """Give an item's part of an output; all of one that has no batch (a list of boxes)."""
    return value[at] if len(value) == items else value


def _made_up(preprocessor: Preprocessor) -> list[ModelInput]:
    """Make inputs that may share a batch: pictures of one size, texts of one length and others."""
    samples: list[Sample]
    if preprocessor.kind == "image":
        chance = np.random.default_rng(0)
        ramp = np.linspace(0, 155, _SIDES[1]).astype(np.uint8)[None, :, None]
        samples = [
            Image(chance.integers(0, 100, (*_SIDES, 3), dtype=np.uint8) + ramp) for _ in range(3)
        ]
    elif preprocessor.kind == "pair":
        samples = [Pair(_TEXTS[0], text) for text in _TEXTS]
    else:
        samples = [Text(text) for text in _TEXTS]
    parts = [
        part
        for prepared in preprocessor.prepare(samples)
        if isinstance(prepared, list)
        for part in prepared
    ]
    if not parts:
        raise RecordError("it takes none of the made-up records", reason="no-input")
    return [part for part in parts if part.group == parts[0].group]


def _refuse_nan(rows: Sequence[Mapping[str, Any]]) -> None:
    for name, value in rows[0].items():
        if _is_float(value) and all(np.isnan(row[name]).any() for row in rows):
            raise ModelError(
                f"outputs.{name}: is NaN for every made-up record: the training diverged, or the "
                "weights are damaged"
            )


def _apart(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> float:
    return max(
        (
            _distance(row[name], other[name])
            for row, other in zip(rows, others, strict=True)
            for name in row
        ),
        default=0.0,
    )


def _distance(one: Any, other: Any) -> float:
    """Compare two outputs; sides that padding made longer are cut."""
    if isinstance(one, Mapping):
        return max(_distance(one[key], other[key]) for key in one)
    left, right = np.asarray(one), np.asarray(other)
    if left.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(left, right) else 1.0
    common = tuple(slice(min(sides)) for sides in zip(left.shape, right.shape, strict=True))
    left, right = left[common].astype(np.float64), right[common].astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(left - right))
    return float(difference.max() / max(1.0, float(np.abs(left[np.isfinite(left)]).max(initial=0))))


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"
