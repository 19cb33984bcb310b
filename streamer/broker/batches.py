"""What is on its way to Kafka: batches of kafka-python's that we write ourselves.

For each record the client takes eight locks and makes seven objects, two of which it has to finish,
one by one, when the batch is acknowledged. Here a record is written straight into its batch, and
what became of it is read from the batch.
"""

from time import time
from typing import Any

import msgspec
from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import encode_varint

from streamer.broker.failures import RECORD_FAULTS, producer_error
from streamer.errors import BrokerError, RecordError
from streamer.records import Headers, OutRecord

_MAGIC = 2
"""Of the format since Kafka 0.11, the only one in which a producer is idempotent."""
_OFFSET_OF_ABORTED = -1
_SMALL = 10_000
"""Numbers below this come again and again: lengths, and places in a batch."""


class Pending(msgspec.Struct, gc=False, eq=False):
    """A record on its way; known to be written or refused once the producer is flushed.

    Attributes:
        record: what is written.
        partition: the output partition that it goes to.
    """

    record: OutRecord
    partition: int
    _batch: Any = None
    """The client's future of the batch."""
    _number: int = 0
    """Of the record in its batch."""
    _refusal: Exception | None = None

    @property
    def failure(self) -> BrokerError | RecordError | None:
        """Why it is not written: for its own sake, or for the broker's; None if it is.

        A `RecordError` has the client's error as its cause: one object for a whole batch if the
        broker does not say which record of the batch is at fault.
        """
        error, given_up = self._refusal, False
        if error is None:
            if not self._batch.is_done:
                return BrokerError("a record is not acknowledged yet", retriable=True)
            offset, _, errors_by_number = self._batch.value
            if errors_by_number is None:
                return None
            error = errors_by_number(self._number)
            given_up = offset == _OFFSET_OF_ABORTED  # with the error of another batch
        return _failure(error, f"writing to {self.record.topic}", given_up=given_up)

    def rebind(self, batch: Any, number: int) -> None:
        """Go on in a part of the batch, which was too large for the broker; the client calls it."""
        whole, self._batch, self._number = self._batch, batch, number
        whole._latch.set()  # noqa: SLF001 - who waits for the whole has to look at the parts


def _failure(error: Exception, doing: str, *, given_up: bool) -> BrokerError | RecordError:
    if isinstance(error, TypeError | ValueError | OverflowError):
        return _refused(error, "refused-by-client")
    if not isinstance(error, RECORD_FAULTS):
        return producer_error(error, doing)
    if given_up:
        message = f"{doing}: given up with a record that was refused ({error})"
        return BrokerError(message, retriable=True)
    return _refused(error, "too-large" if "Large" in type(error).__name__ else None)


def _refused(error: Exception, reason: str | None) -> RecordError:
    told = f"{type(error).__name__}: {str(error).removeprefix(f'{type(error).__name__}: ')}"
    fault = RecordError(told, reason=reason or "refused-by-broker")
    fault.__cause__ = error
    return fault


class Batch(ProducerBatch):  # type: ignore[misc]
    """A batch of one partition, until it is full or sent.

    Args:
        where: the partition.
        codec: the client's number of the compression.
        limit: bytes before compression; a first record may take more.
    """

    def __init__(self, where: ClientPartition, codec: int, limit: int) -> None:
        super().__init__(where, MemoryRecordsBuilder(_MAGIC, codec, limit))
        self._limit = limit

    def write(self, record: OutRecord, headers: bytes) -> Pending | None:
        """Write a record behind the others; None if the batch takes no more.

        https://kafka.apache.org/documentation/#record has the format. Whoever calls this holds the
        lock of the partition: the client's sender takes batches away.

        Args:
            record: to be written.
            headers: the record's, `as_written`.
        """
        records = self.records
        builder = records._builder  # noqa: SLF001 - there is no other way to any of this
        if builder is None:
            return None  # sent, or given up
        stamp = record.timestamp
        if stamp is None:
            stamp = int(time() * 1000)
        number = records._next_offset  # noqa: SLF001
        first = builder._first_timestamp if number else stamp  # noqa: SLF001
        key, value = record.key, record.value
        body = b"".join(
            (
                b"\x00",  # attributes: there are none yet
                _VARINTS[stamp - first],
                _VARINTS[number],
                _NULL if key is None else _VARINTS[len(key)] + key,
                _NULL if value is None else _VARINTS[len(value)],
                value or b"",
                headers,
            )
        )
        size = _VARINTS[len(body)]
        buffer = builder._buffer  # noqa: SLF001
        if number and len(buffer) + len(size) + len(body) > self._limit:
            return None
        if not number:
            builder._first_timestamp = builder._max_timestamp = stamp  # noqa: SLF001
        elif stamp > builder._max_timestamp:  # noqa: SLF001
            builder._max_timestamp = stamp  # noqa: SLF001
        buffer += size
        buffer += body
        builder._last_offset = number  # noqa: SLF001
        builder._num_records = records._next_offset = number + 1  # noqa: SLF001
        pending = Pending(record, self.topic_partition.partition, self.produce_future, number)
        self._record_futures.append(pending)
        return pending


class Place:
    """A partition that is written to.

    Args:
        accumulator: the client's `RecordAccumulator`.
        where: the partition.
    """

    def __init__(self, accumulator: Any, where: ClientPartition) -> None:
        self.where = where
        self._accumulator = accumulator
        self._lock = accumulator._tp_lock(where)  # noqa: SLF001 - one lock for good
        self._batch: Batch | None = None

    def append(self, record: OutRecord, headers: bytes) -> tuple[Pending, bool]:
        """Put a record on its way; say whether a batch was begun, of which the sender must know.

        Raises:
            IllegalStateError: the producer is closed.
            TypeError, ValueError, OverflowError: the record can't be written.
        """
        with self._lock:
            if self._batch is not None:
                pending = self._batch.write(record, headers)
                if pending is not None:
                    return pending, False
        return self._begun(record, headers), True

    def _begun(self, record: OutRecord, headers: bytes) -> Pending:
        """Begin a batch with a record, as the client's own `append` does."""
        accumulator = self._accumulator
        accumulator._appends_in_progress.increment()  # noqa: SLF001 - see the class
        try:
            with self._lock:
                if accumulator._closed:  # noqa: SLF001
                    raise errors.IllegalStateError("the producer is closed")
                config = accumulator.config
                batch = Batch(self.where, config["compression_attrs"], config["batch_size"])
                pending = batch.write(record, headers)
                if pending is None:
                    message = "a batch that is empty takes any record"
                    raise RuntimeError(message)
                accumulator._batches[self.where].append(batch)  # noqa: SLF001
                accumulator._incomplete.add(batch)  # noqa: SLF001
                self._batch = batch
                return pending
        finally:
            accumulator._appends_in_progress.decrement()  # noqa: SLF001


class _Varints(dict[int, bytes]):
    """Numbers as the format has them: zigzag, seven bits a byte; small ones are kept."""

    def __missing__(self, number: int) -> bytes:
        made = bytearray()
        encode_varint(number, made.append)
        found = bytes(made)
        if 0 <= number < _SMALL:
            self[number] = found
        return found


_VARINTS = _Varints()
_NULL = _VARINTS[-1]


def as_written(headers: Headers) -> bytes:
    """Write headers as a record has them, their number before them.

    Raises:
        UnicodeEncodeError: a name has no bytes in UTF-8.
    """
    written = [_VARINTS[len(headers)]]
    for header, value in headers:
        name = header.encode()
        written += (_VARINTS[len(name)], name)
        written += (_NULL,) if value is None else (_VARINTS[len(value)], value)
    return b"".join(written)
