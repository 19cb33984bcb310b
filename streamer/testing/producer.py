"""A producer on the Kafka in memory, with the traps of the true one."""

from collections.abc import Mapping
from typing import Any

from streamer.broker import Note, Pending, Producer, no_note
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition
from streamer.testing.cluster import Cluster, Fault
from streamer.testing.group import Membership

_FAILED_BEFORE = "the producer has failed before"


class FakePending(Pending, gc=False, eq=False):
    """A record on its way."""

    outcome: BrokerError | RecordError | None = None

    @property
    def failure(self) -> BrokerError | RecordError | None:
        """Why it is not written; None if it is."""
        return self.outcome

    def rebind(self, batch: Any, number: int) -> None:
        """Go on in a part of the batch; there are none in memory."""
        raise NotImplementedError


class FakeProducer(Producer):
    """Writes at `flush`; of no more use after a failure, as the true one.

    As with the true one, a commit does not notice that a record has expired.
    """

    def __init__(self, cluster: Cluster, transactional_id: str | None = None) -> None:
        self._cluster = cluster
        self._id = transactional_id
        self._failed = False
        self._unsent: list[FakePending] = []
        self._leaderless: set[tuple[str, int]] = set()
        cluster.called("open")
        with cluster.changed:
            self._epoch = 0 if transactional_id is None else cluster.register(transactional_id)

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions.

        Raises:
            BrokerError: the topic is missing.
        """
        self._begun_call("partitions")
        with self._cluster.changed:
            count = len(self._cluster.partitions([topic]))
        if not count:
            raise BrokerError(
                f"reading the partitions of {topic}: it does not exist", retriable=True
            )
        return count

    def append(self, record: OutRecord, partition: int) -> FakePending:
        """Put a record on its way; nothing is certain before `flush`."""
        pending = FakePending(record, partition)
        pending.outcome = BrokerError("a record is not acknowledged yet", retriable=True)
        try:
            fault = self._begun_call("append")
        except BrokerError as error:
            pending.outcome = error
            return pending
        where = record.topic, partition
        if fault == "lost":
            self._leaderless.add(where)
        if where in self._leaderless:
            pending.outcome = BrokerError("a record expired", retriable=True)
        else:
            self._unsent.append(pending)
        return pending

    def flush(self) -> None:
        """Write what was appended.

        Raises:
            BrokerError: no acknowledgement came.
        """
        fault = self._begun_call("flush")
        unsent, self._unsent = self._unsent, []
        if fault == "half":
            unsent = unsent[: len(unsent) // 2]
        with self._cluster.changed:
            for pending in unsent:
                outcome = self._written(pending)
                if fault != "done":
                    pending.outcome = outcome
        if fault is not None:
            self._failed = True
            raise BrokerError("flush: not acknowledged in time", retriable=True)

    def _written(self, pending: FakePending) -> BrokerError | RecordError | None:
        """Write a record; what comes behind one that was refused is given up with it."""
        if self._failed:
            return BrokerError(_FAILED_BEFORE, retriable=True)
        reason = self._cluster.refuses(pending.record)
        if reason is not None:
            self._failed = True
            return RecordError(f"refused: {reason}", reason=reason)
        try:
            if self._id is None:
                self._cluster.write(pending.record, pending.partition)
            else:
                self._cluster.write_transactional(
                    self._id, self._epoch, pending.record, pending.partition
                )
        except BrokerError as error:
            self._failed = True
            return error
        return None

    def begin(self) -> None:
        """Open a transaction; the brokers learn of it with its first record."""
        self._begun_call("begin")

    def commit(
        self, positions: Mapping[TopicPartition, int], group: Any, note: Note = no_note
    ) -> None:
        """End the transaction with the positions in it.

        Raises:
            BrokerError: it was refused, or nobody knows.
        """
        fault = self._begun_call("commit")
        noted = {partition: (at, note(partition)) for partition, at in positions.items()}
        who = Membership(group.group_id, group.generation_id, group.member_id)
        try:
            with self._cluster.changed:
                self._cluster.commit_transaction(self._id or "", self._epoch, who, noted, fault)
        except BrokerError:
            self._failed = True
            raise
        if fault is not None:
            self._failed = True
            raise BrokerError("commit: the outcome is not known", retriable=True)

    def close(self, timeout: float = 5.0) -> None:
        """Close; a transaction that is open stays so, until the next of its id or a timeout."""
        del timeout
        self._failed = True

    def _begun_call(self, call: Any) -> Fault | None:
        """Begin a call; one that fails is the producer's last."""
        if self._failed:
            raise BrokerError(_FAILED_BEFORE, retriable=True)
        try:
            return self._cluster.called(call)
        except BrokerError:
            self._failed = True
            raise
