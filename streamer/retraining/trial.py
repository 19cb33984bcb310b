"""Champion and challenger on the same held-out records, and what else a challenger must meet."""

import json
from collections.abc import Callable, Sequence
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
from streamer.retraining.grading import graded, off_by, passes
from streamer.retraining.heads import output_of, probabilities
from streamer.retraining.lesson import Part
from streamer.retraining.marks import Marks
from streamer.retraining.runner import Runner, ratio_of_times
from streamer.retraining.truth import Form, form_of, told

_TIMED = 32
_ANY_SCORE = 0.01
_MOST_OBJECTS = 300
_HALF = 0.5
_MUST_PASS = ("label", "score", "boxes", "entities")


@dataclass(frozen=True)
class Answers:
    """What a version says of samples.

    Attributes:
        given: as it is published; of a classifier with one label, that label.
        scores: how sure it was of each; how wrong it is where answers are no single labels.
        of_truth: the probability that it gave to the right label.
    """

    given: list[Any]
    scores: list[float]
    of_truth: NDArray[np.float64]

    @property
    def labels(self) -> list[str | None]:
        """Its answers as people read them."""
        return [None if one is None else told(one) for one in self.given]


def answers(
    runner: Runner, version: Version, samples: Sequence[Sample], truths: Sequence[str]
) -> Answers:
    """Let a version answer that gives one label."""
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
        part: the examples that count.
        form: of the answers.
        problems: why the challenger is refused whatever the figures say.
        figures: latency, size, and how labels came.
    """

    compared: Compared | Marks
    part: Part
    form: Form
    champion: Answers
    challenger: Answers
    problems: list[str]
    figures: dict[str, Any]

    def mistakes(self) -> list[int]:
        """Give the places of the challenger's wrong answers, the worst ones first."""
        given, right = self.challenger, self.part.answers
        wrong = [
            at
            for at, answer in enumerate(given.given)
            if answer is None or not passes(self.form, answer, right[at])
        ]
        return sorted(wrong, key=lambda at: -given.scores[at])


def tried(  # noqa: PLR0913 - both sides, and what is asked
    champion: Version,
    challenger: Version,
    part: Part,
    gate: Gate,
    *,
    threads: int,
    beside: Path,
    check: Callable[[], None] = lambda: None,
) -> Trial:
    """Let both answer the held-out records, and look at time, size and what must pass.

    Args:
        champion: what serves.
        challenger: what was made of it.
        part: the held-out records.
        gate: what is asked.
        threads: CPU threads of each.
        beside: the sidecar's file, beside which that of what must pass lies.
        check: called between batches; raises to end the work.

    Raises:
        ConfigError: the file of what must pass cannot be read.
    """
    form = form_of(champion.manifest)
    part, counting = counted(part, gate)
    with (
        Runner(champion, threads=threads, check=check) as old,
        Runner(challenger, threads=threads, check=check) as new,
    ):
        first, second = (
            _answered(runner, version, part, form)
            for runner, version in ((old, champion), (new, challenger))
        )
        ratio = ratio_of_times(old, new, part.samples[:_TIMED]) if part.samples else 1.0
        problems = _failed(new, challenger, gate, beside)
    sizes = [version.file.stat().st_size for version in (champion, challenger)]
    if ratio > gate.max_latency_ratio:
        problems.append(f"takes {ratio:.2f} times as long (allowed: {gate.max_latency_ratio:g})")
    if sizes[1] > gate.max_size_ratio * sizes[0]:
        problems.append(
            f"is {sizes[1] / sizes[0]:.2f} times as large (allowed: {gate.max_size_ratio:g})"
        )
    figures = {"records": counting, "latency_ratio": ratio, "size_ratio": sizes[1] / sizes[0]}
    compared = _compared(form, champion, part, first, second)
    return Trial(compared, part, form, first, second, problems, figures)


def _answered(runner: Runner, version: Version, part: Part, form: Form) -> Answers:
    if form == "label":
        return answers(runner, version, part.samples, part.truths)
    given = published(runner, version, part.samples, form)
    wrong = [off_by(form, one, right) for one, right in zip(given, part.answers, strict=True)]
    return Answers(given, wrong, np.zeros(len(given)))


def published(runner: Runner, version: Version, samples: Sequence[Sample], form: Form) -> list[Any]:
    """Give answers as they are judged: of a detector even those that it is unsure of."""
    own = version.manifest.postprocess.threshold
    if form == "boxes":
        return runner.answers(samples, threshold=_ANY_SCORE, top_k=_MOST_OBJECTS)
    if form == "labels":
        count = len(version.manifest.id2label)
        return runner.answers(samples, threshold=_HALF if own is None else own, top_k=count)
    return runner.answers(samples)


def _compared(
    form: Form, champion: Version, part: Part, first: Answers, second: Answers
) -> Compared | Marks:
    clusters = [one.cluster for one in part.examples]
    known = frozenset(champion.manifest.id2label.values())
    if form != "label":
        return graded(form, part.answers, (first.given, second.given), clusters, known)
    return Compared(
        truths=part.truths,
        champion=first.given,
        challenger=second.given,
        champion_p=first.of_truth,
        challenger_p=second.of_truth,
        clusters=clusters,
        known=known,
    )


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
    samples, wanted = [], []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.strip():
                sample, answer = _must_pass(json.loads(line), file)
                samples.append(sample)
                wanted.append(answer)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'gate.must_pass: {file}: write {{"text": …, "label": …}} or {{"file": …, "label": …}} '
            f"a line: {error}"
        ) from error
    form = form_of(version.manifest)
    found = (
        answers(runner, version, samples, wanted).given
        if form == "label"
        else published(runner, version, samples, form)
    )
    bar = version.manifest.postprocess.threshold or _HALF
    if form == "boxes":
        found = [[one for one in answer or () if one["score"] >= bar] for answer in found]
    return [
        f"must pass: line {number} is '{told(right)}', answered '{told(answer)}'"
        for number, (right, answer) in enumerate(zip(wanted, found, strict=True), 1)
        if answer is None or not passes(form, answer, right)
    ]


def _must_pass(given: dict[str, Any], file: Path) -> tuple[Sample, Any]:
    """Read one line of what must pass."""
    [answer] = [given[name] for name in _MUST_PASS if name in given]
    if "file" in given:
        return read_sample("image", (file.parent / given["file"]).read_bytes()), answer
    if "sentence1" in given:
        pair = {name: given[name] for name in ("sentence1", "sentence2")}
        return read_sample("pair", json.dumps(pair).encode()), answer
    return read_sample("text", given["text"].encode()), answer
