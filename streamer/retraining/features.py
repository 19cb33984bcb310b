"""What a frozen version computes before its head, kept by the content of the examples."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.graphs.head import Head, expose
from streamer.models import Version
from streamer.records import Sample
from streamer.retraining.lesson import Part
from streamer.retraining.runner import Runner

_MOST_BYTES = 2**30
Floats = NDArray[np.float32]
Parts = tuple[Floats, ...]
"""Of one example: a row a sentence of a pair, a row a token; None where it has no answer."""


class Features:
    """Computes features, but for those that were computed before.

    Args:
        threads: CPU threads.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._kept: dict[tuple[str, str, str], Parts | None] = {}
        self._size = 0

    def of(
        self, version: Version, head: Head, part: Part, check: Callable[[], None], folder: Path
    ) -> list[Parts | None]:
        """Give the features of each part of each example.

        Args:
            version: what computes them.
            head: names the tensor.
            part: the examples.
            check: called now and then; raises to end the work.
            folder: beside which a graph may be written for a while.
        """
        model = f"{version.manifest.version} {version.file}"
        keys = [(model, head.features, one.sha) for one in part.examples]
        missing = [at for at, key in enumerate(keys) if key not in self._kept]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        if missing:
            samples = [part.samples[at] for at in missing]
            computed = computed_features(
                version, head, samples, folder, threads=self._threads, check=check
            )
            new = {keys[at]: one for at, one in zip(missing, computed, strict=True)}
            found |= new
            self._keep(new)
        return [found[key] for key in keys]

    def _keep(self, new: dict[tuple[str, str, str], Parts | None]) -> None:
        size = sum(one.nbytes for parts in new.values() for one in parts or ())
        if self._size + size > _MOST_BYTES:
            self._kept.clear()
            self._size = 0
        if size <= _MOST_BYTES:
            self._kept |= new
            self._size += size


def as_rows(found: Sequence[Parts | None]) -> Floats:
    """Give one row an example; NaN where it cannot be answered."""
    rows = [None if parts is None else parts[0].reshape(-1) for parts in found]
    width = next((len(row) for row in rows if row is not None), 1)
    if not rows:
        return np.zeros((0, width), np.float32)
    missing = np.full(width, np.nan, np.float32)
    return np.stack([missing if row is None else row for row in rows])


def computed_features(  # noqa: PLR0913 - what computes, and what it may take
    version: Version,
    head: Head,
    samples: Sequence[Sample],
    folder: Path,
    *,
    threads: int,
    check: Callable[[], None] = lambda: None,
) -> list[Parts | None]:
    """Compute what a version's head works on, for each part of each sample."""
    exposed = folder.with_name(f"{folder.name}.features.onnx")
    exposed.parent.mkdir(parents=True, exist_ok=True)
    expose(version.file, head, exposed)
    try:
        with Runner(
            version, threads=threads, tensors=[head.features], file=exposed, check=check
        ) as runner:
            found = runner.parts(samples, [head.features])
    finally:
        exposed.unlink()
    return [
        None if parts is None else tuple(one[head.features] for one in parts) for parts in found
    ]
