"""What became of each record: read afresh from the topics when all is over."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from support.topics import Got, Sent, Topics

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""
_BEGAN_MS = int(time.time() * 1000) - 3_600_000
"""Old enough to be told from the time of sending, young enough for retention."""


def text_of(number: int) -> Sent:
    """Write the record of a number: two of three have a key, all have headers."""
    return Sent(
        b"good" if number % 2 else b"bad",
        key=f"key {number % 31}".encode() if number % 3 else None,
        headers=(("number", str(number).encode()), ("mark", b"\x00\xff"), ("none", b"")),
        timestamp=_BEGAN_MS + number,
    )


@dataclass
class Verdict:
    """What a reader found.

    Attributes:
        records: committed to the source.
        predictions: different records that were answered.
        letters: different records that are dead letters, by place.
        missing: records with neither.
        doubled: records with more than one, and with how many.
        disorder: first answers that stand before one of an earlier record of their stream.
        wrong: answers that do not carry what their record had, or say something else.
        strangers: answers to records that are not there.
        aborted: records of the outputs that only a `read_uncommitted` reader sees.
        answers: all that was read of the outputs, in the order of each output partition.
    """

    records: int = 0
    predictions: int = 0
    letters: dict[Place, Got] = field(default_factory=dict)
    missing: list[Place] = field(default_factory=list)
    doubled: dict[Place, int] = field(default_factory=dict)
    disorder: int = 0
    wrong: list[Place] = field(default_factory=list)
    strangers: list[Place] = field(default_factory=list)
    aborted: int = 0
    answers: list[tuple[str, Got]] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """Answers too many."""
        return sum(count - 1 for count in self.doubled.values())

    @property
    def exactly_once(self) -> bool:
        """Whether nothing is lost, nothing twice, nothing out of order, nothing changed."""
        return self.at_least_once and not self.doubled

    @property
    def at_least_once(self) -> bool:
        """Whether nothing is lost or changed, and first answers are in order."""
        return not (self.missing or self.disorder or self.wrong or self.strangers)

    def __str__(self) -> str:
        return (
            f"records {self.records}, predictions {self.predictions}, letters {len(self.letters)}, "
            f"missing {len(self.missing)} {self.missing[:3]}, duplicates {self.duplicates} "
            f"{list(self.doubled.items())[:3]}, disorder {self.disorder}, "
            f"wrong {len(self.wrong)} {self.wrong[:3]}, strangers {len(self.strangers)}, "
            f"aborted {self.aborted}"
        )


def verdict(topics: Topics, source: str, sink: str, letters: str) -> Verdict:
    """Read source, predictions and dead letters from begin to end, and compare."""
    inputs = {(source, one.partition, one.offset): one for one in topics.read(source)}
    found = Verdict(records=len(inputs))
    counts: Counter[Place] = Counter()
    for topic in (sink, letters):
        if not topics.partitions(topic):
            continue
        answers = topics.read(topic)
        found.answers += [(topic, one) for one in answers]
        counts.update(one.source for one in answers)
        found.disorder += disorder(answers)
        found.wrong += [one.source for one in answers if not _fits(one, inputs.get(one.source))]
        found.aborted += len(topics.read(topic, isolation="read_uncommitted")) - len(answers)
        if topic == letters:
            found.letters = {one.source: one for one in answers}
        else:
            found.predictions = len({one.source for one in answers})
    found.missing = sorted(inputs.keys() - counts.keys())
    found.strangers = sorted(counts.keys() - inputs.keys())
    found.doubled = {place: count for place, count in counts.items() if count > 1}
    return found


def disorder(answers: Iterable[Got]) -> int:
    """Count first answers that stand behind one of a later record of their stream.

    A stream is what came from one partition and went to one partition. After a crash part of it
    may be answered again, as a whole and in order: such an answer is not the first one.
    """
    highest: dict[tuple[int, str, int], int] = {}
    seen: set[Place] = set()
    count = 0
    for one in answers:
        topic, partition, offset = one.source
        if one.source in seen:
            continue
        seen.add(one.source)
        stream = (one.partition, topic, partition)
        count += offset < highest.get(stream, -1)
        highest[stream] = max(offset, highest.get(stream, -1))
    return count


@dataclass(frozen=True)
class Crash:
    """What there was when a process had just ended: ends of the outputs, committed positions."""

    ends: Mapping[tuple[str, int], int]
    committed: Mapping[int, int]


def repeated(found: Verdict, crashes: Sequence[Crash]) -> tuple[list[int], int]:
    """Say whose fault the repeated answers are.

    Returns:
        By crash, the answers that were there before it and were given again after it; and the
        repeated answers that no crash explains: because there was none between the two, or
        because their record was committed when it came.
    """
    by_crash = [0] * len(crashes)
    unexplained = 0
    places: dict[Place, list[tuple[str, int, int]]] = defaultdict(list)
    for topic, one in found.answers:
        places[one.source].append((topic, one.partition, one.offset))
    for place in found.doubled:
        generations = [_crashes_before(where, crashes) for where in places[place]]
        for earlier, later in zip(sorted(generations), sorted(generations)[1:], strict=False):
            between = [
                number
                for number in range(earlier, later)
                if place[2] >= crashes[number].committed.get(place[1], 0)
            ]
            if between:
                by_crash[between[0]] += 1
            else:
                unexplained += 1
    return by_crash, unexplained


def _crashes_before(where: tuple[str, int, int], crashes: Sequence[Crash]) -> int:
    topic, partition, offset = where
    return sum(offset >= crash.ends.get((topic, partition), 0) for crash in crashes)


def _fits(answer: Got, record: Got | None) -> bool:
    if record is None:
        return True  # counted as a stranger
    carried = answer.headers[: len(record.headers)] == record.headers
    alike = answer.key == record.key and carried
    if "streamer.error.topic" in dict(answer.headers):
        return alike and answer.value in {record.value, b""}
    [said] = answer.json["predictions"].values()
    alike = alike and answer.timestamp == record.timestamp
    return alike and said["output"][0]["label"] == (record.value or b"").decode().split()[0]
