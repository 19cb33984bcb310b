"""A version at work outside of the line: many samples in, its tensors out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError, StreamerError
from streamer.infer import at_graph_length, open_session
from streamer.models import Version
from streamer.models.manifest import Output
from streamer.postprocess import interpreter_for
from streamer.preprocess import preprocessor_for
from streamer.records import ModelInput, Sample

_BATCH = 32
_SEQUENCE = 3
Floats = NDArray[np.float32]
_Numbered = tuple[tuple[int, int], ModelInput]


class OutOfTimeError(StreamerError):
    """A run has used up its time."""


class Runner:
    """Computes a version's outputs for samples.

    Args:
        version: what computes.
        threads: of its session.
        tensors: outputs that are wanted, beside those that its manifest reads.
        file: the model file, where it is another one than the version's.
        check: called between batches; raises to end the work.
    """

    def __init__(
        self,
        version: Version,
        *,
        threads: int,
        tensors: Sequence[str] = (),
        file: Path | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        manifest = version.manifest
        wanted = {**manifest.outputs, **{name: Output(decode="raw") for name in tensors}}
        run = replace(
            version,
            file=file or version.file,
            manifest=manifest.model_copy(update={"outputs": wanted}),
        )
        self._version = version
        self._session = open_session(run, device="cpu", threads=threads)
        fed = at_graph_length(manifest, self._session.inputs)
        self._preprocessor = preprocessor_for(fed, version.folder)
        self._check = check

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def run(self, samples: Sequence[Sample], names: Sequence[str]) -> dict[str, Floats]:
        """Compute tensors, a row a sample; a row of NaN where a sample cannot be answered."""
        rows: dict[str, list[Any]] = {name: [None] * len(samples) for name in names}
        for number, parts in enumerate(self.parts(samples, names)):
            if parts is None or len(parts) != 1:
                continue
            for name in names:
                rows[name][number] = parts[0][name].reshape(-1)
        return {name: _stacked(found) for name, found in rows.items()}

    def parts(
        self, samples: Sequence[Sample], names: Sequence[str]
    ) -> list[list[dict[str, Floats]] | None]:
        """Compute tensors of each part of each sample; None where it cannot be answered.

        Of a sequence what stands at padding is left out.
        """

        def read(found: Mapping[str, Any], inputs: Sequence[ModelInput]) -> list[Any]:
            return [
                {name: _unpadded(found[name][row], given, found[name].shape) for name in names}
                for row, given in enumerate(inputs)
            ]

        return self._computed(samples, read)

    def answers(
        self, samples: Sequence[Sample], *, threshold: float | None = None, top_k: int | None = None
    ) -> list[Any]:
        """Give the task's answers as the daemon would; None where a sample cannot be answered."""
        version = self._version
        reader = interpreter_for(
            version.manifest,
            version.manifest.task,
            folder=version.folder,
            threshold=threshold,
            top_k=top_k,
        )
        found = self._computed(samples, reader.interpret)
        return [
            None
            if parts is None or any(isinstance(one, RecordError) for one in parts)
            else reader.combine(parts)
            for parts in found
        ]

    def _computed(
        self,
        samples: Sequence[Sample],
        read: Callable[[Mapping[str, Any], Sequence[ModelInput]], Sequence[Any]],
    ) -> list[list[Any] | None]:
        """Run all parts of all samples, and put together what is read of each."""
        prepared = self._preprocessor.prepare(samples)
        found: list[list[Any] | None] = [
            None if isinstance(parts, RecordError) else [None] * len(parts) for parts in prepared
        ]
        inputs = [
            ((number, place), one)
            for number, parts in enumerate(prepared)
            if not isinstance(parts, RecordError)
            for place, one in enumerate(parts)
        ]
        for batch in self._batches(inputs):
            self._check()
            given = [one for _, one in batch]
            try:
                results = read(self._session.run(self._preprocessor.collate(given)), given)
            except RecordError:
                for (number, _), _ in batch:
                    found[number] = None
                continue
            for ((number, place), _), result in zip(batch, results, strict=True):
                row = found[number]
                if row is not None:
                    row[place] = result
        return found

    def seconds(self, samples: Sequence[Sample]) -> float:
        """Measure what a batch of these takes, prepared already."""
        inputs = [
            ((number, place), one)
            for number, parts in enumerate(self._preprocessor.prepare(samples))
            if not isinstance(parts, RecordError)
            for place, one in enumerate(parts)
        ]
        batches = [self._preprocessor.collate([one for _, one in b]) for b in self._batches(inputs)]
        began = perf_counter()
        for feeds in batches:
            self._session.run(feeds)
        return perf_counter() - began

    def _batches(self, inputs: list[_Numbered]) -> list[list[_Numbered]]:
        """Put like inputs together: of one group, of like length."""
        groups: dict[Any, list[_Numbered]] = {}
        for numbered in sorted(inputs, key=lambda one: one[1].length):
            groups.setdefault(numbered[1].group, []).append(numbered)
        size = min(_BATCH, self._session.max_batch or _BATCH)
        return [
            group[at : at + size] for group in groups.values() for at in range(0, len(group), size)
        ]


def _unpadded(row: Any, given: ModelInput, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(row, np.float32)
    if len(shape) != _SEQUENCE or not given.length or given.length > len(array):
        return array
    return array[len(array) - given.length :] if given.pads_left else array[: given.length]


def _stacked(rows: Sequence[NDArray[np.float32] | None]) -> Floats:
    width = next((len(row) for row in rows if row is not None), 0)
    missing = np.full(width, np.nan, np.float32)
    if not rows:
        return np.zeros((0, 0), np.float32)
    return np.stack([missing if row is None else row for row in rows])


def ratio_of_times(champion: Runner, challenger: Runner, samples: Sequence[Sample]) -> float:
    """Give how many times as long the second takes, measured turn by turn: the median."""
    ratios = []
    for _ in range(5):
        first = champion.seconds(samples)
        ratios.append(challenger.seconds(samples) / max(first, 1e-9))
    return float(np.median(ratios))


__all__ = ["OutOfTimeError", "Runner", "ratio_of_times"]
