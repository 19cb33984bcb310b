"""At least once: a wave's positions are committed after its acknowledgements."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import sleep

import structlog

from streamer.broker import Pending, Producer
from streamer.errors import BrokerError, RecordError
from streamer.publish.outlet import Outlet
from streamer.publish.ports import Gate
from streamer.records import Item, TopicPartition, Wave

_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class AtLeastOnce:
    """Publishes waves one by one; never goes on past one that is not acknowledged whole.

    Args:
        outlet: sends records.
        open_producer: makes a producer, also a new one after a failure.
        gate: which partitions may be published.
        answered: told (epoch, position) of the partitions whose records are all acknowledged.
        stopping: asked between tries; true gives up what can't be sent now.
    """

    def __init__(
        self,
        outlet: Outlet,
        open_producer: Callable[[], Producer],
        gate: Gate,
        answered: Callable[[Mapping[TopicPartition, tuple[int, int]]], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._outlet = outlet
        self._open = open_producer
        self._gate = gate
        self._answered = answered
        self._stopping = stopping
        self._producer = open_producer()
        self._log = structlog.get_logger("publish")

    def published(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Publish waves as they come."""
        try:
            for wave in waves:
                with self._gate.publishing([wave]) as current:
                    mine = {
                        partition: part
                        for partition, part in wave.slices.items()
                        if current.get(partition) == part.epoch
                    }
                    self._deliver([item for part in mine.values() for item in part.items])
                    self._answered({p: (part.epoch, part.position) for p, part in mine.items()})
                yield wave
        finally:
            self._producer.close()

    def _deliver(self, items: list[Item]) -> None:
        """Send until every item is acknowledged, in order by output partition."""
        tries = 0
        while items:
            try:
                sent = self._outlet.send(self._producer, items)
                self._producer.flush()
                items = self._to_repeat(sent)
            except BrokerError as error:
                self._renew(error, tries)
                tries += 1

    def _to_repeat(self, sent: list[tuple[Item, Pending]]) -> list[Item]:
        """Find what must be sent again: from its first failure on, each output partition.

        What came behind a failure may have been written; it is written again, so that the order
        holds. Whoever is refused for his own sake comes again as a dead letter.

        Raises:
            BrokerError: the failure is the broker's.
        """
        broken: set[tuple[str, int]] = set()
        repeat = []
        suspects = [entry for entry in sent if isinstance(entry[1].failure, RecordError)]
        culprits = self._culprits([item for item, _ in suspects])
        for item, pending in sent:
            failure = pending.failure
            if isinstance(failure, BrokerError):
                raise failure
            where = self._outlet.partition_of(self._producer, pending.record)
            if failure is not None:
                broken.add(where)
            if where in broken or id(item) in culprits:
                repeat.append(item)
        return repeat

    def _culprits(self, suspects: list[Item]) -> set[int]:
        """Send each suspect alone: a batch is refused whole for a single record."""
        culprits = set()
        for item in suspects:
            sent = self._outlet.send(self._producer, [item])
            self._producer.flush()
            for _, pending in sent:
                failure = pending.failure
                if isinstance(failure, RecordError):
                    self._outlet.refuse(item, failure)
                    culprits.add(id(item))
                elif failure is not None:
                    raise failure
        return culprits

    def _renew(self, error: BrokerError, tries: int) -> None:
        """Throw the producer away and open a new one; positions are not touched.

        Raises:
            BrokerError: trying again is useless, or the process is to stop.
        """
        if not error.retriable or self._stopping():
            raise error
        delay = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
        self._log.warning("publishing failed, trying again", error=str(error), delay=delay)
        self._producer.close(timeout=0)
        sleep(delay)
        while True:
            try:
                self._producer = self._open()
            except BrokerError as again:
                if not again.retriable or self._stopping():
                    raise
                self._log.warning("no producer yet", error=str(again))
                sleep(delay)
            else:
                return
