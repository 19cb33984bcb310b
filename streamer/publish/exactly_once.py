"""Exactly once: outputs, dead letters and positions of some waves in one transaction.

kafka-python's transactional producer loses records unless it is used in one narrow way
(docs/delivery.md): sends, flush, every record's outcome checked, positions, commit; and after any
failure a new producer with the same transactional id, the committed positions read afresh, and
only what lies behind them published again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import Protocol

import structlog

from streamer.broker import Pending, Producer
from streamer.errors import BrokerError, RecordError
from streamer.publish.outlet import Outlet
from streamer.publish.ports import Gate
from streamer.records import Item, Slice, TopicPartition, Wave

_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Membership(Protocol):
    """A snapshot of the group's membership, as the broker fences by it."""

    member_id: str
    generation_id: int


class ExactlyOnce:
    """Publishes waves in transactions.

    Args:
        outlet: sends records.
        open_producer: makes a transactional producer, which settles what its predecessor left.
        gate: which partitions may be published.
        membership: the group's metadata as of now.
        committed: reads the settled positions of partitions.
        ready: takes a further wave that is there already, without waiting.
        stopping: asked between tries; true gives up what can't be sent now.
        ended: told the outcome of each transaction, `committed` or `aborted`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one transaction
        self,
        outlet: Outlet,
        open_producer: Callable[[], Producer],
        gate: Gate,
        membership: Callable[[], Membership],
        committed: Callable[[Iterable[TopicPartition]], Mapping[TopicPartition, int]],
        ready: Callable[[], Wave | None],
        stopping: Callable[[], bool],
        ended: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._outlet = outlet
        self._open = open_producer
        self._gate = gate
        self._membership = membership
        self._committed = committed
        self._ready = ready
        self._stopping = stopping
        self._ended = ended
        self._producer = open_producer()
        self._log = structlog.get_logger("publish")
        self._suspects: set[int] = set()
        self.open_since: float | None = None

    def published(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Publish waves as they come, those that are there together in one transaction."""
        try:
            for first in waves:
                batch = [first]
                while (more := self._ready()) is not None:
                    batch.append(more)
                self._transact(batch)
                yield from batch
        finally:
            self._producer.close()

    def _transact(self, waves: Sequence[Wave]) -> None:
        """Try until the waves are committed, or are no longer ours."""
        done: dict[TopicPartition, int] = {}
        tries = 0
        while True:
            try:
                with self._gate.publishing(waves) as current:
                    slices = _mine(waves, current, done)
                    if not slices or self._attempt(slices):
                        return
                sleep(_BACKOFF_S[0])  # evicted: the group is joined again, or our slices expire
            except BrokerError as error:
                self._renew(error, tries)
                done = dict(self._committed({p for wave in waves for p in wave.slices}))
                tries += 1

    def _attempt(self, slices: Sequence[tuple[TopicPartition, Slice]]) -> bool:
        """Run one transaction; False if this process is no member of the group now.

        The membership is read once, before the first send: what it says later may already be the
        membership under which a partition belongs to somebody else.
        """
        group = self._membership()
        if not group.member_id or group.generation_id < 0:
            return False
        items = [item for _, part in slices for item in part.items]
        positions = {partition: part.position for partition, part in slices}
        self.open_since = monotonic()
        try:
            self._producer.begin()
            failures = [
                (item, pending.failure)
                for item, pending in self._send(items)
                if pending.failure is not None
            ]
            for item, failure in failures:
                if not isinstance(failure, RecordError):
                    raise failure
                self._suspect(item, failure)
            if failures:
                message = f"{len(failures)} records were refused; they go apart from the others"
                raise BrokerError(message, retriable=True)
            self._producer.commit(positions, group)
        finally:
            self.open_since = None
        self._suspects.clear()
        self._ended("committed")
        return True

    def _send(self, items: Sequence[Item]) -> list[tuple[Item, Pending]]:
        """Send items in order, those under suspicion each in a batch of its own."""
        sent: list[tuple[Item, Pending]] = []
        together: list[Item] = []
        for item in items:
            if id(item) not in self._suspects:
                together.append(item)
                continue
            sent += self._outlet.send(self._producer, together)
            self._producer.flush()
            sent += self._outlet.send(self._producer, [item])
            self._producer.flush()
            together = []
        sent += self._outlet.send(self._producer, together)
        self._producer.flush()
        return sent

    def _suspect(self, item: Item, failure: RecordError) -> None:
        """A batch is refused whole for one record: who is refused alone is the culprit."""
        if id(item) in self._suspects:
            self._outlet.refuse(item, failure)
        else:
            self._suspects.add(id(item))

    def _renew(self, error: BrokerError, tries: int) -> None:
        """Throw the producer away, open the next one under the same transactional id.

        Raises:
            BrokerError: trying again is useless, or the process is to stop.
        """
        self._ended("aborted")
        if not error.retriable:
            raise error
        delay = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
        self._log.warning("transaction failed, trying again", error=str(error), delay=delay)
        self._producer.close(timeout=0)
        while True:
            sleep(delay)
            try:
                self._producer = self._open()
            except BrokerError as again:
                if not again.retriable or self._stopping():
                    raise
                self._log.warning("no producer yet", error=str(again))
            else:
                return


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
