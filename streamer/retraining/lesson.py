"""What one run learns from: the examples of each side, with their values and labels as numbers."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

from streamer.records import Sample
from streamer.retraining.config import Replay
from streamer.retraining.examples import Side
from streamer.retraining.finding import read_sample
from streamer.retraining.labelled import Example
from streamer.retraining.near import pairs_across
from streamer.retraining.store import Store
from streamer.retraining.truth import Form, grown, names_in


@dataclass(frozen=True)
class Part:
    """The examples of one side, in one order."""

    examples: tuple[Example, ...]
    samples: tuple[Sample, ...]

    @property
    def answers(self) -> list[Any]:
        """What is right of each: a label, several, a similarity, boxes, entities."""
        return [one.answer for one in self.examples]

    @property
    def truths(self) -> list[str]:
        """The right label of each; the first where several are."""
        return [next(iter(names_in(answer)), "") for answer in self.answers]

    @property
    def names(self) -> Counter[str]:
        """Count the labels that answers have."""
        return Counter(name for answer in self.answers for name in names_in(answer))


@dataclass(frozen=True)
class Lesson:
    """A version of the set, cut for a run.

    Attributes:
        version: of the set: the last shard's number.
        digest: of what is in it: equal digests are equal lessons.
        sides: the examples.
        labels: of the champion, then the new ones in their own order.
        old: how many of them the champion knows.
        across: near-duplicates that are on two sides: 0.
    """

    version: int
    digest: str
    sides: dict[Side, Part]
    labels: tuple[str, ...]
    old: int
    across: int

    def indices(self, side: Side) -> list[int]:
        """Give the right labels of a side as numbers."""
        places = {label: place for place, label in enumerate(self.labels)}
        return [places[label] for label in self.sides[side].truths]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Count examples by side and label."""
        return {side: dict(sorted(part.names.items())) for side, part in self.sides.items()}

    @property
    def trained_names(self) -> list[str]:
        """Name what is learnt from, choices by validation included."""
        chosen = (*self.sides["train"].examples, *self.sides["validation"].examples)
        return sorted(name for one in chosen for name in one.names)


def cut(  # noqa: PLR0913 - what a lesson depends on
    store: Store,
    examples: Sequence[Example],
    known: Sequence[str],
    replay: Replay,
    *,
    seed: int,
    since: int,
    form: Form = "label",
) -> Lesson:
    """Cut a lesson from the set.

    Args:
        store: where values are.
        examples: all that there are.
        known: the champion's labels.
        replay: how much is learnt from.
        seed: of what is drawn.
        since: sequence of the last run's set: what came later is new.
        form: of the labels.
    """
    by_side: dict[Side, list[Example]] = {"train": [], "validation": [], "test": []}
    for one in examples:
        if one.side != "none":
            by_side[one.side].append(one)
    by_side["train"] = replayed(by_side["train"], replay, seed, since)
    chosen = [one for part in by_side.values() for one in part]
    sides = {side: part_of(store, part) for side, part in by_side.items()}
    seen = {label for part in sides.values() for label in part.names}
    return Lesson(
        version=store.sequence,
        digest=_digest(chosen),
        sides=sides,
        labels=tuple(grown(known, seen, form)),
        old=len(known),
        across=pairs_across((one.signature, one.side) for one in chosen),
    )


def part_of(store: Store, examples: Sequence[Example]) -> Part:
    """Read the values of examples."""
    values = store.values(one.sha for one in examples)
    there = [one for one in examples if one.sha in values]
    samples = tuple(read_sample(one.kind, values[one.sha]) for one in there)  # type: ignore[arg-type]
    return Part(tuple(there), samples)


def replayed(examples: list[Example], replay: Replay, seed: int, since: int) -> list[Example]:
    """Choose what is learnt from: the newest, and of what came before as much of each class."""
    if len(examples) <= replay.max_examples:
        return examples
    newest = sorted((e for e in examples if e.sequence > since), key=lambda e: (-e.sequence, e.sha))
    newest = newest[: int(replay.max_examples * replay.new)]
    taken = {one.sha for one in newest}
    classes: dict[str, list[Example]] = defaultdict(list)
    for one in examples:
        if one.sha not in taken:
            classes[_kind(one.answer)].append(one)
    draw = Random(seed)  # noqa: S311 - a fair sample, no secret
    for members in classes.values():
        draw.shuffle(members)
    room = replay.max_examples - len(newest)
    old: list[Example] = []
    while len(old) < room and classes:
        for label in sorted(classes):
            if len(old) < room:
                old.append(classes[label].pop())
            if not classes[label]:
                del classes[label]
    return sorted([*newest, *old], key=lambda one: one.sha)


def _kind(answer: Any) -> str:
    """Say what an example is drawn as: its labels."""
    return ",".join(sorted(set(names_in(answer))))


def _digest(examples: Sequence[Example]) -> str:
    summed = sha256()
    for one in sorted(examples, key=lambda e: e.sha):
        summed.update(f"{one.sha} {one.side} {one.answer}\n".encode())
    return summed.hexdigest()
