"""Exactly once: outputs, dead letters and positions of some waves in one transaction.

kafka-python's transactional producer loses records unless it is used in one narrow way
(docs/delivery.md): sends, flush, every record's outcome checked, positions, commit; and after any
failure a new producer with the same transactional id, the committed positions read afresh, and
only what lies behind them published again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from time import monotonic, sleep

import structlog

from streamer.broker import Note, Writer, backoff, no_note
from streamer.errors import BrokerError
from streamer.publish.outlet import Outlet, RefusedError
from streamer.publish.ports import Gate
from streamer.records import Membership, Slice, TopicPartition, Wave

_PASSING_S = 0.001
"""For a wave that is computed to come up behind the one taken: channels hold one each."""
_EVICTED = "publishing: this process is no member of the group"


class ExactlyOnce:
    """Publishes waves in transactions.

    Args:
        outlet: sends records.
        open_producer: makes a transactional producer, which settles what its predecessor left.
        gate: which partitions may be published, and as which member.
        committed: reads the settled positions of partitions.
        ready: given the waves taken so far and seconds, takes a further one as soon as it is
            there, waiting no longer than that, and not at all if nothing more is in the line.
        stopping: asked between tries; true gives up what can't be sent now.
        note: gives what is kept beside a partition's position.
        ended: told the outcome of each transaction, `committed` or `aborted`.
        interval: seconds for which a transaction gathers waves at the most.
        most_records: records after which it gathers no more.
        sleep: seconds between tries; passed in by tests.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one transaction
        self,
        outlet: Outlet,
        open_producer: Callable[[], Writer],
        gate: Gate,
        committed: Callable[[Iterable[TopicPartition]], Mapping[TopicPartition, int]],
        ready: Callable[[Sequence[Wave], float], Wave | None],
        stopping: Callable[[], bool],
        note: Note = no_note,
        ended: Callable[[str], None] = lambda _outcome: None,
        *,
        interval: float = 0.0,
        most_records: int = 100_000,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._interval = interval
        self._took_s = inf
        self._most_records = most_records
        self._outlet = outlet
        self._open = open_producer
        self._gate = gate
        self._committed = committed
        self._ready = ready
        self._stopping = stopping
        self._sleep = sleep
        self._note = note
        self._ended = ended
        self._producer = open_producer()
        self._log = structlog.get_logger("publish")
        self.open_since: float | None = None

    def published(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Publish waves as they come, those of an interval together in one transaction."""
        try:
            for first in waves:
                batch = self._gathered(first)
                began = monotonic()
                self._transact(batch)
                self._took_s = monotonic() - began
                yield from batch
        finally:
            self._producer.close()

    def _gathered(self, first: Wave) -> list[Wave]:
        """Take what comes within the interval; a line with nothing more in it commits at once.

        Where a transaction takes longer than that, waves gather by themselves, and only those that
        are computed are taken; to wait for more would only make the next one longer, up to the
        broker's limit.
        """
        batch, records = [first], len(first.items)
        until = monotonic() + (self._interval if self._took_s < self._interval else 0.0)
        while records < self._most_records:
            more = self._ready(batch, max(until - monotonic(), _PASSING_S))
            if more is None:
                break
            batch.append(more)
            records += len(more.items)
        return batch

    def _transact(self, waves: Sequence[Wave]) -> None:
        """Try until the waves are committed, or are no longer ours."""
        self._outlet.begin()
        done: Mapping[TopicPartition, int] = {}
        tries = 0
        while True:
            error = BrokerError(_EVICTED, retriable=True)
            try:
                with self._gate.publishing(waves) as permit:
                    current = permit.epochs
                    slices = _mine(waves, current, done)
                    if not slices or self._attempt(slices, permit.membership):
                        for wave in waves:
                            wave.slices = _current(wave, current)
                        return
                if not self._stopping():
                    self._sleep(backoff(0))  # the group is joined again, or our slices expire
                    continue
            except BrokerError as found:
                error = found
            tries = 0 if isinstance(error, RefusedError) else tries + 1
            done = self._renew(error, {p for wave in waves for p in wave.slices}, tries)

    def _attempt(
        self, slices: Sequence[tuple[TopicPartition, Slice]], group: Membership | None
    ) -> bool:
        """Run one transaction as that member; False if this process is no member of the group.

        The broker fences nobody whose generation is -1.
        """
        if group is None or not group.member_id or group.generation_id < 0:
            return False
        items = [item for _, part in slices for item in part.items]
        positions = {partition: part.position for partition, part in slices}
        self.open_since = monotonic()
        try:
            self._producer.begin()
            _, error = self._outlet.deliver(self._producer, items)
            if error is not None:
                raise error
            self._producer.commit(positions, group, self._note)
        finally:
            self.open_since = None
        self._ended("committed")
        return True

    def _renew(
        self, error: BrokerError, partitions: Iterable[TopicPartition], tries: int
    ) -> Mapping[TopicPartition, int]:
        """Throw the producer away, open the next one under the same transactional id.

        Returns:
            The committed positions after that: a commit of unknown outcome is settled then.

        Raises:
            BrokerError: trying again is useless, or the process is to stop.
        """
        while True:
            if not error.retriable or self._stopping():
                raise error
            delay = backoff(tries)
            self._log.warning(
                "transaction failed, trying again", error=str(error), delay=round(delay, 3)
            )
            self._ended("aborted")
            self._producer.close(timeout=0)
            self._sleep(delay)
            try:
                self._producer = self._open()
                return self._committed(partitions)
            except BrokerError as again:
                error = again
                tries += 1


def _mine(
    waves: Sequence[Wave],
    current: Mapping[TopicPartition, int],
    done: Mapping[TopicPartition, int],
) -> list[tuple[TopicPartition, Slice]]:
    """Find the slices that are still to be published, in order."""
    return [
        (partition, part)
        for wave in waves
        for partition, part in wave.slices.items()
        if current.get(partition) == part.epoch and part.position > done.get(partition, -1)
    ]


def _current(wave: Wave, current: Mapping[TopicPartition, int]) -> dict[TopicPartition, Slice]:
    """Give the slices of a wave that are ours: the others are answered by somebody else."""
    return {p: part for p, part in wave.slices.items() if current.get(p) == part.epoch}
