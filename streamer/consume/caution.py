"""What a partition's next owner learns of a crash: attempts, noted in the committed position.

A record that kills the process kills whichever replica gets its partition next, and a rescheduled
replica remembers nothing. So the metadata of the committed position says how often the records
behind it were begun and never finished. From the second time on they are taken in steps that get
smaller with each crash, one partition at a time, until the culprit stands alone.
"""

import re
from dataclasses import dataclass, replace
from threading import Lock

from streamer.records import TopicPartition

_NOTE = re.compile(r"streamer tries=(\d+)(?: step=(\d+))?(?: by=(\S+))?")
_STEPS = (64, 8, 1)
_NORMAL_TRIES = 1
_TRIES_ALONE = 4
"""So often a process may end over a record alone in the line before it is given up: a process that
a network fault cut off until the group gave it up cannot be told from one that died."""
_FIRST_ALONE = _NORMAL_TRIES + len(_STEPS)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How often the records behind a position were begun, in steps of how many, and by whom."""

    tries: int = 0
    step: int | None = None
    owner: str = ""

    @classmethod
    def read(cls, note: str) -> "Attempt":
        """Read a position's metadata; foreign words count as none."""
        match = _NOTE.fullmatch(note)
        if match is None:
            return cls()
        return cls(int(match[1]), int(match[2]) if match[2] else None, match[3] or "")

    @property
    def note(self) -> str:
        """The metadata that says it."""
        step = f" step={self.step}" if self.step is not None else ""
        owner = f" by={self.owner}" if self.owner else ""
        return f"streamer tries={self.tries}{step}{owner}" if self.tries else ""

    def again(self, owner: str = "") -> "Attempt":
        """Give the attempt after this one has failed."""
        return _attempt(self.tries + 1, owner)

    def undone(self) -> "Attempt":
        """Give the attempt before this one, which did not fail: its owner lives."""
        return _attempt(max(self.tries - 1, 0), self.owner)

    @property
    def culprit_is_alone(self) -> bool:
        """Whether the very next record has killed its process again and again."""
        return self.step == 1 and self.tries > _NORMAL_TRIES + len(_STEPS) + _TRIES_ALONE - 1


def _attempt(tries: int, owner: str) -> Attempt:
    if tries <= _NORMAL_TRIES:
        return Attempt(tries, None, owner)
    return Attempt(tries, _STEPS[min(tries - _NORMAL_TRIES, len(_STEPS)) - 1], owner)


@dataclass(slots=True)
class _State:
    attempt: Attempt
    begun: bool = False
    left: int = 0


class Caution:
    """Attempts of the partitions that are ours; asked by the consume and the publish thread.

    Args:
        wave_records: records of a wave at the most: about so many were in the line at a crash.
    """

    def __init__(self, wave_records: int) -> None:
        self._wave_records = wave_records
        self._lock = Lock()
        self._states: dict[TopicPartition, _State] = {}

    def settled(self, partition: TopicPartition, attempt: Attempt) -> None:
        """Take over what the last owner noted beside the position."""
        with self._lock:
            self._states[partition] = _State(attempt)

    def to_note(self, partition: TopicPartition, owner: str = "") -> Attempt | None:
        """Give the attempt to note before the partition's first records enter the line."""
        with self._lock:
            state = self._states.get(partition)
            return None if state is None or state.begun else state.attempt.again(owner)

    def noted(self, partition: TopicPartition, attempt: Attempt) -> None:
        """The note is committed: records may enter the line."""
        with self._lock:
            state = self._states.get(partition)
            if state is not None:
                state.attempt, state.begun = attempt, True
                bound = {64: 4 * self._wave_records, 8: 128, 1: 16}
                state.left = bound.get(attempt.step or 0, 0)

    @property
    def careful(self) -> bool:
        """Whether any partition is taken in steps: each is committed before the next."""
        with self._lock:
            return any(s.begun and s.attempt.step is not None for s in self._states.values())

    def step(self, partition: TopicPartition) -> int | None:
        """Give the records that may be in the line at once; None: as many as fit."""
        with self._lock:
            state = self._states.get(partition)
            return state.attempt.step if state is not None and state.begun else None

    def give_up(self, partition: TopicPartition) -> int | None:
        """Say how often the next record was tried if it is to be given up, once."""
        with self._lock:
            state = self._states.get(partition)
            if state is None or not state.begun or not state.attempt.culprit_is_alone:
                return None
            tries = state.attempt.tries
            # what lies behind it is begun afresh, in single steps once more
            state.attempt = replace(state.attempt, tries=_FIRST_ALONE)
            return tries - 1

    def note(self, partition: TopicPartition) -> str:
        """Give the note of an ordinary commit: none, unless steps are still small.

        A record that has passed alone is not the culprit: the next one is tried afresh.
        """
        with self._lock:
            state = self._states.get(partition)
            if state is None or state.attempt.step is None:
                return ""
            if state.attempt.step == 1:
                state.attempt = replace(state.attempt, tries=_FIRST_ALONE)
            return state.attempt.note

    def passed(self, partition: TopicPartition, records: int) -> None:
        """Records have passed the line; after enough of them caution ends."""
        with self._lock:
            state = self._states.get(partition)
            if state is None or state.attempt.step is None:
                return
            state.left -= records
            if state.left <= 0:
                state.attempt = Attempt()

    def forget(self, kept: set[TopicPartition]) -> None:
        """Forget partitions that are no longer ours."""
        with self._lock:
            for partition in set(self._states) - kept:
                del self._states[partition]
