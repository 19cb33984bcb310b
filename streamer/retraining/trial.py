"""Champion and challenger on the same held-out records, and what else a challenger must meet."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError
from streamer.models import Version
from streamer.records import Sample
from streamer.retraining.config import Gate
from streamer.retraining.finding import read_sample
from streamer.retraining.gate import Compared
from streamer.retraining.learner import output_of, probabilities
from streamer.retraining.lesson import Part
from streamer.retraining.runner import Runner, ratio_of_times

_TIMED = 32


@dataclass(frozen=True)
class Answers:
    """What a version says of samples."""

    labels: list[str | None]
    scores: list[float]
    of_truth: NDArray[np.float64]


def answers(
    runner: Runner, version: Version, samples: Sequence[Sample], truths: Sequence[str]
) -> Answers:
    """Let a version answer."""
    name, after = output_of(version.manifest)
    found = runner.run(samples, [name])[name]
    chances = found.astype(np.float64) if after == "softmax" else probabilities(found, "softmax")
    names = version.manifest.id2label
    places = {label: place for place, label in names.items()}
    labels: list[str | None] = []
    scores, of_truth = [], []
    for row, truth in zip(chances, truths, strict=True):
        good = bool(np.isfinite(row).all())
        best = int(row.argmax()) if good else -1
        labels.append(names[best] if good else None)
        scores.append(float(row[best]) if good else 0.0)
        of_truth.append(float(row[places[truth]]) if good and truth in places else 0.0)
    return Answers(labels, scores, np.array(of_truth))


@dataclass(frozen=True)
class Trial:
    """Both versions on the held-out records.

    Attributes:
        compared: for the gate.
        kept: which of the part's examples count.
        problems: why the challenger is refused whatever the figures say.
        figures: latency, size, and how labels came.
    """

    compared: Compared
    part: Part
    champion: Answers
    challenger: Answers
    problems: list[str]
    figures: dict[str, Any]


def tried(  # noqa: PLR0913 - both sides, and what is asked
    champion: Version, challenger: Version, part: Part, gate: Gate, *, threads: int, beside: Path
) -> Trial:
    """Let both answer the held-out records, and look at time, size and what must pass.

    Raises:
        ConfigError: the file of what must pass cannot be read.
    """
    part, told = counted(part, gate)
    with Runner(champion, threads=threads) as old, Runner(challenger, threads=threads) as new:
        first = answers(old, champion, part.samples, part.truths)
        second = answers(new, challenger, part.samples, part.truths)
        ratio = ratio_of_times(old, new, part.samples[:_TIMED]) if part.samples else 1.0
        failed = _failed(new, challenger, gate, beside)
    sizes = [version.file.stat().st_size for version in (champion, challenger)]
    problems = list(failed)
    if ratio > gate.max_latency_ratio:
        problems.append(f"takes {ratio:.2f} times as long (allowed: {gate.max_latency_ratio:g})")
    if sizes[1] > gate.max_size_ratio * sizes[0]:
        problems.append(
            f"is {sizes[1] / sizes[0]:.2f} times as large (allowed: {gate.max_size_ratio:g})"
        )
    compared = Compared(
        truths=part.truths,
        champion=first.labels,
        challenger=second.labels,
        champion_p=first.of_truth,
        challenger_p=second.of_truth,
        clusters=[one.cluster for one in part.examples],
        known=frozenset(champion.manifest.id2label.values()),
    )
    figures = {"records": told, "latency_ratio": ratio, "size_ratio": sizes[1] / sizes[0]}
    return Trial(compared, part, first, second, problems, figures)


def counted(part: Part, gate: Gate) -> tuple[Part, str]:
    """Choose which held-out records count: those asked for at random, or all."""
    chosen = [at for at, one in enumerate(part.examples) if one.random]
    enough = len(chosen) >= gate.min_examples
    if gate.records == "all" or (gate.records == "auto" and not enough):
        return part, "all"
    examples = tuple(part.examples[at] for at in chosen)
    return Part(examples, tuple(part.samples[at] for at in chosen)), "random"


def _failed(runner: Runner, version: Version, gate: Gate, beside: Path) -> list[str]:
    """Name what must be answered right and is not."""
    if gate.must_pass is None:
        return []
    file = beside.parent / gate.must_pass
    samples, truths = [], []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            given = json.loads(line)
            if "file" in given:
                samples.append(read_sample("image", (file.parent / given["file"]).read_bytes()))
            else:
                samples.append(read_sample("text", given["text"].encode()))
            truths.append(given["label"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'gate.must_pass: {file}: write {{"text": …, "label": …}} or {{"file": …, "label": …}} '
            f"a line: {error}"
        ) from error
    found = answers(runner, version, samples, truths).labels
    return [
        f"must pass: line {number} is '{truth}', answered '{answer}'"
        for number, (truth, answer) in enumerate(zip(truths, found, strict=True), 1)
        if truth != answer
    ]
