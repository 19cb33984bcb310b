"""A Kafka that fences as Kafka does, and a client on it, both in memory and of one thread.

Kafka refuses a transaction's positions by generation only: never by partition, and not at all
where the generation is -1, as it is for a member that was evicted.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord, TopicPartition

UNANSWERED = BrokerError("a record is not acknowledged yet", retriable=True)


@dataclass(frozen=True)
class Membership:
    member_id: str
    generation_id: int


@dataclass
class Sent:
    """A record in a producer, as the publish room sees it."""

    record: OutRecord
    partition: int
    failure: BrokerError | RecordError | None = UNANSWERED


@dataclass
class Cluster:
    """Outputs, committed positions and the group.

    Attributes:
        outputs: what a `read_committed` reader sees, by output partition.
        positions: what the group has committed.
        generation: of the group.
        faults: what goes wrong, by call; each entry is used once, None for all is well.
        poison: whether a record is refused for its own sake.
        named: whether the broker says which record of a batch is at fault.
    """

    outputs: defaultdict[tuple[str, int], list[OutRecord]] = field(
        default_factory=lambda: defaultdict(list)
    )
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    generation: int = 1
    faults: defaultdict[str, deque[str | None]] = field(default_factory=lambda: defaultdict(deque))
    poison: Callable[[OutRecord], bool] = lambda _record: False
    named: bool = True
    producers: list["FakeProducer"] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    during: Callable[[str], None] = lambda _call: None
    partitions: int = 3

    def open(self, *, transactional: bool = True) -> "FakeProducer":
        """Open a producer; what the one before left open is aborted, and that one is fenced."""
        self.called("open")
        if transactional:
            for other in self.producers:
                other.pending.clear()
                other.alive = False
        producer = FakeProducer(self, transactional)
        self.producers.append(producer)
        return producer

    def committed(self, partitions) -> dict[TopicPartition, int]:
        self.called("committed")
        return {p: self.positions[p] for p in partitions if p in self.positions}

    def called(self, call: str) -> str | None:
        """Note a call; let happen what is to happen during it; fail if it is to fail."""
        self.calls.append(call)
        self.during(call)
        fault = self.faults[call].popleft() if self.faults[call] else None
        if fault == "fatal":
            raise BrokerError(f"{call}: the principal may not", retriable=False)
        if fault == "fails":
            raise BrokerError(f"{call} failed", retriable=True)
        return fault


class FakeProducer:
    """Writes at flush; a failure of anything ends it, as it does the true one."""

    def __init__(self, cluster: Cluster, transactional: bool) -> None:  # noqa: FBT001
        self._cluster = cluster
        self._transactional = transactional
        self._unflushed: list[Sent] = []
        self.pending: list[Sent] = []
        self.alive = True
        self.closed = False
        self.begun = False

    def partitions(self, topic: str) -> int:
        self._cluster.called("partitions")
        return self._cluster.partitions

    def begin(self) -> None:
        self._guarded("begin")
        assert not self.begun
        self.begun = True

    def append(self, record: OutRecord, partition: int) -> Sent:
        assert self.begun or not self._transactional
        sent = Sent(record, partition)
        try:
            fault = self._guarded("append")
        except BrokerError as error:
            sent.failure = error
            return sent
        if fault == "lost":
            self.alive = False
            sent.failure = BrokerError("the leader is gone", retriable=True)
            return sent
        self._unflushed.append(sent)
        return sent

    def flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        if self._guarded("flush") != "late":
            self._write(unflushed)
            return
        self.alive = False
        raise BrokerError("not acknowledged in time", retriable=True)

    def _write(self, unflushed: list[Sent]) -> None:
        """Write batches, one a partition; a refused one takes those behind it with it."""
        batches = defaultdict(list)
        for sent in unflushed:
            batches[sent.record.topic, sent.partition].append(sent)
        for where, batch in batches.items():
            refused = [sent for sent in batch if self._cluster.poison(sent.record)]
            if not self.alive:
                for sent in batch:
                    sent.failure = BrokerError("given up with another", retriable=True)
            elif refused:
                self.alive = False
                self._refuse(batch, refused)
            else:
                for sent in batch:
                    sent.failure = None
                if self._transactional:
                    self.pending += batch
                else:
                    self._cluster.outputs[where] += [sent.record for sent in batch]

    def _refuse(self, batch: list[Sent], refused: list[Sent]) -> None:
        shared = ValueError("the batch")
        for sent in batch:
            if self._cluster.named and sent not in refused:
                sent.failure = BrokerError("part of a refused batch", retriable=True)
                continue
            sent.failure = RecordError("out of range", reason="refused-by-broker")
            sent.failure.__cause__ = ValueError("itself") if self._cluster.named else shared

    def commit(self, positions, group, note=None) -> None:
        assert all(sent.failure is None for sent in self.pending)
        assert not self._unflushed
        fault = self._guarded("commit")
        if group.generation_id >= 0 and group.generation_id != self._cluster.generation:
            self.alive = False
            raise BrokerError("the transaction was refused: CommitFailedError", retriable=True)
        if fault != "unknown-lost":
            for sent in self.pending:
                self._cluster.outputs[sent.record.topic, sent.partition].append(sent.record)
            self.pending = []
            self._cluster.positions.update(positions)
        self.begun = False
        if fault is not None:
            self.alive = False
            raise BrokerError("the outcome of a commit is not known", retriable=True)

    def close(self, timeout: float = 5.0) -> None:
        self.closed = True
        self.alive = False

    def _guarded(self, call: str) -> str | None:
        if not self.alive:
            raise BrokerError("the producer has failed before", retriable=True)
        try:
            fault = self._cluster.called(call)
        except BrokerError:
            self.alive = False
            raise
        if not self.alive:  # fenced while it was at work
            raise BrokerError("fenced", retriable=True)
        return fault
