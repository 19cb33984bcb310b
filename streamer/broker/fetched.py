"""What kafka-python fetches, read straight into our records.

For each record the client calls some twenty functions and makes three objects, the last of thirteen
members. Here a batch's records are read in one loop, in less than half of the time.
"""

from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.future import Future
from kafka.record.util import decode_varint

from streamer.records import Headers, Record

_MAGIC = 2
"""Of the format since Kafka 0.11; what was written before may still lie in a topic."""


def read_into_ours(client: Any) -> None:
    """Have a `KafkaConsumer` poll our records in the place of its own."""
    client._fetcher.PartitionRecords = FetchedRecords  # noqa: SLF001 - made there for each fetch


class FetchedRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records that one fetch brought of a partition."""

    def _unpack_records(
        self, tp: ClientPartition, records: Any, *_deserializers: object
    ) -> Iterator[Record]:
        """Read records, batch by batch; the client takes as many as one poll may give.

        Raises:
            CorruptRecordError: what was fetched is not what was written.
        """
        while (batch := records.next_batch()) is not None:
            if self.check_crcs and not batch.validate_crc():
                raise _damaged(tp, batch.base_offset)
            if batch.magic < _MAGIC:
                yield from self._old(tp, batch)
                continue
            self.leader_epoch = batch.leader_epoch
            if not self._hidden(batch):
                for record in records_of(batch, tp.topic, tp.partition):
                    self.next_fetch_offset = record.offset + 1
                    yield record
                self.records_read += batch.records_count
                self.bytes_read += batch.size_in_bytes
            self.next_fetch_offset = batch.next_offset  # compaction may have taken the last ones
        self.drain()

    def _hidden(self, batch: Any) -> bool:
        """Whether a batch is no reader's matter: a transaction's marker, or what it aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            # of an old marker compaction leaves an empty batch, over which the client trips
            if batch.records_count and self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)

    def _old(self, tp: ClientPartition, batch: Any) -> Iterator[Record]:
        for found in batch:
            if self.check_crcs and not found.validate_crc():
                raise _damaged(tp, found.offset)
            self.next_fetch_offset = found.offset + 1
            yield Record(
                tp.topic, tp.partition, found.offset, found.timestamp, found.key, found.value
            )


def records_of(batch: Any, topic: str, partition: int) -> Iterator[Record]:
    """Read the records of a batch; https://kafka.apache.org/documentation/#record has the format.

    Args:
        batch: a `DefaultRecordBatch` that nobody has read from.
        topic: that it was fetched from.
        partition: of the topic.

    Raises:
        CorruptRecordError: the records do not fill the batch.
    """
    iter(batch)  # uncompresses it
    data, at = batch._buffer, batch._pos  # noqa: SLF001 - there is no other way to them
    view = memoryview(data)
    base, first = batch.base_offset, batch.first_timestamp
    appended = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    for _ in range(batch.records_count):
        try:
            size, at = decode_varint(data, at)
            end = at + size
            later, at = decode_varint(data, at + 1)  # behind the attributes: there are none yet
            number, at = decode_varint(data, at)
            key, at = _bytes(view, *decode_varint(data, at))
            value, at = _bytes(view, *decode_varint(data, at))
            count, at = decode_varint(data, at)
            headers, at = _headers(view, at, count) if count else ((), at)
        except (ValueError, IndexError) as error:
            raise _corrupt(topic, partition, base, str(error)) from error
        if at != end:
            raise _corrupt(topic, partition, base, f"a record ends at byte {at} and not at {end}")
        yield Record(
            topic,
            partition,
            base + number,
            first + later if appended is None else appended,
            key,
            value,
            headers,
        )
    if at != len(data):
        raise _corrupt(topic, partition, base, f"{len(data) - at} bytes lie behind the last record")


def _damaged(tp: ClientPartition, offset: int) -> Exception:
    message = f"the checksum of a batch of {tp.topic}/{tp.partition} at offset {offset} is wrong"
    return errors.CorruptRecordError(message)  # type: ignore[no-any-return]


def _corrupt(topic: str, partition: int, offset: int, why: str) -> Exception:
    message = f"a batch of {topic}/{partition} at offset {offset} cannot be read: {why}"
    return errors.CorruptRecordError(message)  # type: ignore[no-any-return]


def _bytes(view: memoryview, length: int, at: int) -> tuple[bytes | None, int]:
    """Read so many bytes, or none at all if the length is below 0; give where they end."""
    if length < 0:
        return None, at
    return bytes(view[at : at + length]), at + length


def _headers(view: memoryview, at: int, count: int) -> tuple[Headers, int]:
    """Read so many headers; give where they end."""
    if count < 0:
        raise ValueError(f"{count} headers")
    found: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(view, *decode_varint(view, at))
        value, at = _bytes(view, *decode_varint(view, at))
        if name is None:
            raise ValueError("a header without a name")
        found.append((str(name, "utf-8", "replace"), value))  # as Java's client reads them
    return tuple(found), at


def unpark(fetcher: Any) -> None:
    """Let the client go on with records that it set aside while their partition was paused.

    It does so only while no other partition's records are at hand, and takes those that are used up
    for such: where one partition is read while others are paused, as in a rebalance, what was set
    aside is never looked at again, nor fetched anew.
    """
    if fetcher._paused_partition_records and not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001


def wake_for_records(fetcher: Any) -> None:
    """Let the client notice what was fetched while it was about to look for something to wait for.

    A poll looks for records, asks for more, and forgets the fetches that have ended; one that ended
    in between is forgotten with its records unseen, and the poll sleeps for `retry_backoff_ms`, a
    tenth of a second, for lack of anything to wait for.
    """
    forget = fetcher._clean_done_fetch_futures  # noqa: SLF001

    async def forgotten() -> None:  # in the thread that fetches: nothing ends meanwhile
        await forget()
        if fetcher._completed_fetches:  # noqa: SLF001
            fetcher._fetch_futures.append(Future().success(None))  # noqa: SLF001

    fetcher._clean_done_fetch_futures = forgotten  # noqa: SLF001
