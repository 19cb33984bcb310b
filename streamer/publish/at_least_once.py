"""At least once: a wave's positions are committed after its acknowledgements."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import sleep

import structlog

from streamer.broker import Sent, Writer, backoff
from streamer.errors import BrokerError
from streamer.publish.outlet import Outlet, RefusedError
from streamer.publish.ports import Gate
from streamer.records import Item, TopicPartition, Wave


class AtLeastOnce:
    """Publishes waves one by one; never goes on past one that is not acknowledged whole.

    Args:
        outlet: sends records.
        open_producer: makes a producer, also a new one after a failure.
        gate: which partitions may be published.
        answered: told (epoch, position) of the partitions whose records are all acknowledged.
        stopping: asked between tries; true gives up what can't be sent now.
        sleep: seconds between tries; passed in by tests.
    """

    def __init__(  # noqa: PLR0913 - the parts of one stage
        self,
        outlet: Outlet,
        open_producer: Callable[[], Writer],
        gate: Gate,
        answered: Callable[[Mapping[TopicPartition, tuple[int, int]]], None],
        stopping: Callable[[], bool],
        *,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._outlet = outlet
        self._open = open_producer
        self._gate = gate
        self._answered = answered
        self._stopping = stopping
        self._sleep = sleep
        self._producer = open_producer()
        self._log = structlog.get_logger("publish")

    def published(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Publish waves as they come; what is no longer ours leaves them on the way."""
        try:
            for wave in waves:
                self._deliver(wave)
                yield wave
        finally:
            self._producer.close()

    def _deliver(self, wave: Wave) -> None:
        """Send until every item that is ours is acknowledged, in order by output partition.

        A revocation is held up by one try at the most, not by the pauses between them.
        """
        self._outlet.begin()
        done: set[int] = set()
        tries = 0
        while True:
            with self._gate.publishing([wave]) as permit:
                current = permit.epochs
                error = self._attempt(wave, current, done)
            if error is None:
                return
            tries = 0 if isinstance(error, RefusedError) else tries + 1
            self._renew(error, tries)

    def _attempt(
        self, wave: Wave, current: Mapping[TopicPartition, int], done: set[int]
    ) -> BrokerError | None:
        """Send what is ours and not done; say why not all of it is written."""
        mine = {
            partition: part
            for partition, part in wave.slices.items()
            if current.get(partition) == part.epoch
        }
        items = [item for part in mine.values() for item in part.items if id(item) not in done]
        try:
            sent, error = self._outlet.deliver(self._producer, items)
            if error is not None:
                done |= self._acknowledged(sent)
        except BrokerError as found:
            return found
        if error is None:
            self._answered({p: (part.epoch, part.position) for p, part in mine.items()})
            wave.slices = mine
        return error

    def _acknowledged(self, sent: Sequence[tuple[Item, Sent]]) -> set[int]:
        """Find what need not be sent again: all before the first failure of an output partition.

        What came behind a failure may have been written; it is written again, so that the order
        holds; so is what came behind a record in the partition that its dead letter goes to now.
        """
        broken: set[tuple[str, int]] = set()
        done = set()
        for item, pending in sent:
            where = pending.record.topic, pending.partition
            if pending.failure is not None:
                broken.add(where)
                if item.output is not None:
                    broken.add(self._outlet.partition_of(self._producer, item.output))
            elif where not in broken:
                done.add(id(item))
        return done

    def _renew(self, error: BrokerError, tries: int) -> None:
        """Throw the producer away and open a new one; positions are not touched.

        Raises:
            BrokerError: trying again is useless, or the process is to stop.
        """
        while True:
            if not error.retriable or self._stopping():
                raise error
            delay = backoff(tries, first=0.01)
            self._log.warning(
                "publishing failed, trying again", error=str(error), delay=round(delay, 3)
            )
            self._producer.close(timeout=0)
            self._sleep(delay)
            try:
                self._producer = self._open()
            except BrokerError as again:
                error = again
                tries += 1
            else:
                return
