"""Which partitions are read, from where, and what comes of it.

librdkafka's positions are not relied on: what it has fetched is thrown away at each rebalance and
each pause, and where it goes on is sure only once a record was handed over. So each partition's
next offset is kept here, and is sought whenever librdkafka has stopped and starts again.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic, sleep

import structlog
from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from streamer.broker.librdkafka.faults import error_of, fault
from streamer.broker.ports import OutOfRangeError
from streamer.records import Record, TopicPartition

_SHORT_PAUSE_S = 0.2
"""A shorter pause is kept from librdkafka, so that what it has fetched is not thrown away."""
_REST_S = 0.005
_log = structlog.get_logger("consume")


class Reading:
    """The partitions that are ours, each with the offset that is read next.

    Args:
        client: the member.
        most: records of a poll at the most.

    Attributes:
        owned: the partitions that are ours.
        positions: of those whose position is settled, what is read next.
        troubles: what a poll has found besides records; the next one raises it.
    """

    def __init__(self, client: Client, most: int) -> None:
        self._client = client
        self._most = most
        self._paused: set[TopicPartition] = set()
        self._paused_at = 0.0
        self._closing = False
        self._stopped: set[TopicPartition] = set()
        self._displaced: set[TopicPartition] = set()
        self.owned: set[TopicPartition] = set()
        self.positions: dict[TopicPartition, int] = {}
        self.troubles: deque[Exception] = deque()

    # what is ours

    def take(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions over that the client has; nothing is fetched until they are sought."""
        chosen = set(partitions)
        self.owned |= chosen
        for partition in chosen:
            self.positions.pop(partition, None)
        self._stop(chosen)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that are no longer ours."""
        gone = set(partitions)
        for partition in gone:
            self.positions.pop(partition, None)
        for held in (self.owned, self._stopped, self._paused, self._displaced):
            held.difference_update(gone)

    def go_on(self) -> None:
        """Read all from where we are, after librdkafka has stopped and started them."""
        if not self._closing:
            for partition in self.positions:
                self._place(partition)

    def close(self) -> None:
        """Read no more: a client that closes answers no seek, and would be waited for for ever."""
        self._closing = True

    # where it is read

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Read on from an offset; False if the partition is not ours."""
        if partition not in self.owned:
            return False
        self.positions[partition] = offset
        self._start([partition])
        return True

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions."""
        self._paused |= self.owned.intersection(partitions)
        self._paused_at = monotonic()
        if self.positions.keys() - self._paused:  # else it may be a short pause of all
            self._stop(self.positions.keys() & self._paused)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again."""
        chosen = self.owned.intersection(partitions)
        self._paused -= chosen
        self._start(chosen & self._stopped & self.positions.keys())

    def _stop(self, partitions: Iterable[TopicPartition]) -> None:
        chosen = set(partitions) - self._stopped
        self._stopped |= chosen
        if chosen and not self._closing:
            self._client.pause([ClientPartition(*partition) for partition in chosen])

    def _start(self, partitions: Iterable[TopicPartition]) -> None:
        """Have librdkafka fetch partitions; the seek comes last, for a resume forgets the place."""
        started = [p for p in partitions if p in self._stopped and p not in self._paused]
        self._stopped -= set(started)
        if started:
            self._client.resume([ClientPartition(*partition) for partition in started])
        for partition in partitions:
            self._place(partition)

    def _place(self, partition: TopicPartition) -> None:
        """Have librdkafka go to where a partition is read next; it is not read before that."""
        at = [ClientPartition(*partition, self.positions[partition])]
        self._displaced.add(partition)
        try:
            try:
                self._client.seek(at[0])
            except KafkaException as error:
                if error_of(error).code() != KafkaError._STATE:  # noqa: SLF001 - named so
                    raise
                self._begin_anew(
                    partition, at
                )  # it has given the partition up, as one out of range
        except KafkaException as error:  # a rebalance overtook it: the next poll tries again
            _log.debug("a position cannot be gone to yet", error=error_of(error).str())
            return
        self._displaced.discard(partition)

    def _begin_anew(self, partition: TopicPartition, at: list[ClientPartition]) -> None:
        with suppress(KafkaException):
            self._client.incremental_unassign(at)
        self._client.incremental_assign(at)
        if partition in self._stopped:
            self._client.pause(at)

    # what comes

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Read what is there, waiting at most `timeout` seconds for something."""
        if self._rests(timeout):
            return {}
        for partition in list(self._displaced):
            self._place(partition)
        until = monotonic() + timeout
        while True:
            found = self._read(max(until - monotonic(), 0.0))
            if found or self.troubles or monotonic() >= until:
                return found

    def _rests(self, timeout: float) -> bool:
        """Wait out a short pause; have librdkafka pause in a longer one."""
        running = self.positions.keys() - self._stopped
        if not running or running - self._paused:
            return False
        if monotonic() - self._paused_at < _SHORT_PAUSE_S:
            sleep(min(timeout, _REST_S))
            return True
        self._stop(running)
        return False

    def _read(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Wait for a first message; take what is there behind it."""
        messages = self._client.consume(1, timeout)
        if messages and self._most > 1:
            messages += self._client.consume(self._most - 1, 0)
        found: dict[TopicPartition, list[Record]] = {}
        where, records = TopicPartition("", -1), None
        for message in messages:
            error = message.error()
            if error is not None:
                self._told(message, error)
                continue
            record = _record(message)
            if record.partition != where.partition or record.topic != where.topic:
                where = TopicPartition(record.topic, record.partition)
                records = self._wanted(where, found)
            # what was fetched before a seek is not wanted
            if records is not None and record.offset >= self.positions[where]:
                records.append(record)
                self.positions[where] = record.offset + 1
        return {where: records for where, records in found.items() if records}

    def _wanted(
        self, where: TopicPartition, found: dict[TopicPartition, list[Record]]
    ) -> list[Record] | None:
        """Give the list for a partition's records; of one that has no place they are dropped."""
        if where not in self.positions or where in self._displaced:
            return None
        return found.setdefault(where, [])

    def _told(self, message: Message, error: KafkaError) -> None:
        """Take note of what is no record: the end of a partition, a position out of range."""
        code = error.code()
        where = TopicPartition(message.topic() or "", message.partition() or 0)
        position = self.positions.get(where)
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own are named so
            if position is not None and where not in self._displaced:
                self.positions[where] = max(position, message.offset() or 0)
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            if position is not None:
                failed = message.offset()  # it may be told after the partition has gone on
                at = position if failed is None or failed < 0 else failed
                self.troubles.append(OutOfRangeError({where: at}))
        elif code == KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001
            _log.warning("the group has given this member up: it polled too rarely")
        else:
            self.troubles.append(fault(error, "reading"))

    def failed(self, error: KafkaError) -> None:
        """Take note of what ends the client; the rest it logs, and tries again."""
        if error.fatal():
            found = fault(error, "reading")
            found.retriable = False
            self.troubles.append(found)


def _record(message: Message) -> Record:
    """Take over what was polled."""
    try:
        headers = message.headers()
    except (SystemError, UnicodeDecodeError):  # a name that is no UTF-8: none of them can be had
        headers = None
    return Record(
        message.topic(),  # type: ignore[arg-type] # a record has all of them
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(headers) if headers else (),  # type: ignore[arg-type]
    )
