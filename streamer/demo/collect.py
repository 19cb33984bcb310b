"""Waiting for the outputs of what was sent, and taking their times."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from streamer.broker import Reader
from streamer.records import Record

_MARK = "demo"


@dataclass
class Outcome:
    """What came back for the records of one input topic."""

    answered: int = 0
    deadletters: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    latencies: list[float] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Records that came back."""
        return self.answered + sum(self.deadletters.values())

    def latency(self, share: float) -> float:
        """Give a percentile of the latencies, in seconds."""
        return float(np.quantile(self.latencies, share)) if self.latencies else 0.0


class Collector:
    """Matches output records with the numbers under which their inputs were sent.

    Args:
        reader: assigned to the output topics.
        topics: by output topic, the input topic.
    """

    def __init__(self, reader: Reader, topics: dict[str, str]) -> None:
        self._reader = reader
        self._topics = topics
        self.sent_at: dict[int, float] = {}
        self.outcomes: dict[str, Outcome] = {topic: Outcome() for topic in topics.values()}
        self.seen: dict[int, int] = defaultdict(int)

    def poll(self, timeout: float) -> list[Record]:
        """Take what has come."""
        came = []
        for record in self._reader.poll(timeout):
            marks = [value for name, value in record.headers if name == _MARK and value]
            if marks:
                self._match(record, int(marks[-1]), monotonic())
                came.append(record)
        return came

    def _match(self, record: Record, number: int, now: float) -> None:
        outcome = self.outcomes[self._topics[record.topic]]
        self.seen[number] += 1
        headers = dict(record.headers)
        reason = headers.get("streamer.error.reason")
        if reason is not None:
            outcome.deadletters[reason.decode()] += 1
        else:
            json.loads(record.value or b"null")
            outcome.answered += 1
        if number in self.sent_at:
            outcome.latencies.append(now - self.sent_at[number])

    @property
    def missing(self) -> int:
        """How many of the records sent have not come back."""
        return sum(number not in self.seen for number in self.sent_at)

    @property
    def doubled(self) -> int:
        """How many came back more than once."""
        return sum(times > 1 for times in self.seen.values())
