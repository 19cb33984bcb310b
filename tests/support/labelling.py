"""Labels with their examples beside them, and a set that was made of them, without Kafka."""

from collections.abc import Iterable

from streamer.labels import Label
from streamer.records import Text
from streamer.retraining.config import Split
from streamer.retraining.labelled import Found, LabelledSet
from streamer.retraining.store import Store


def label(name: str, answer: str, at: int = 0) -> Label:
    """A label of an inline example."""
    return Label(name, None, None, "label", answer, None, None, None, at)


def filled(
    store: Store, given: Iterable[tuple[str, str]], split: Split | None = None
) -> LabelledSet:
    """Take texts with their labels into a set, one shard."""
    labelled = LabelledSet(store.rows(), split or Split(), store.counts, store.firsts)
    number = store.sequence + 1
    rows = []
    for at, (text, answer) in enumerate(given):
        found = Found("text", text.encode(), Text(text), None)
        row = labelled.take(label(f"{number}-{at}", answer, number), found, number)
        if row is not None:
            rows.append(row)
    store.append(rows, {0: 0}, dict(labelled.counts))
    return labelled
