"""The brokers' side of the Kafka in memory: topics, groups, transactions."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Condition, RLock
from time import time
from typing import Literal

from streamer.errors import BrokerError
from streamer.records import OutRecord, TopicPartition
from streamer.testing.group import Group, Membership
from streamer.testing.log import Log, Outcome, Transaction

Call = Literal[
    "open", "begin", "append", "flush", "commit", "partitions",
    "join", "poll", "committed", "commit positions", "commit soon",
]  # fmt: skip
"""What clients ask for: of a producer, and of a consumer."""

Fault = Literal["fails", "fatal", "lost", "half", "done"]
"""How a call fails.

- `fails`: nothing was done, another try is worth it; `fatal`: none is.
- `lost` (append): the partition has lost its leader; this record and those behind it expire
  unsent, which the client's commit does not notice.
- `half` (flush): the first half is written; (commit): the positions are in the transaction, which
  stays open.
- `done`: all is done, but the answer is lost.
"""


@dataclass(slots=True)
class _Producing:
    """What is kept of a transactional id."""

    epoch: int = 0
    transaction: Transaction | None = None
    logs: list[Log] = field(default_factory=list)
    positions: dict[str, dict[TopicPartition, tuple[int, str]]] = field(default_factory=dict)


class Cluster:
    """Keeps what brokers keep; called by clients of any thread, under one lock.

    Attributes:
        changed: notified whenever something has changed; its lock guards everything here.
        during: called with each call before it is done; what it gives is the call's fault.
        refuses: gives a reason to refuse a record for its own sake, None to take it.
    """

    def __init__(self) -> None:
        self.changed = Condition(RLock())
        self.during: Callable[[Call], Fault | None] = lambda _call: None
        self.refuses: Callable[[OutRecord], str | None] = lambda _record: None
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._logs: dict[str, list[Log]] = {}
        self._limits: dict[str, int] = {}
        self._groups: dict[str, Group] = {}
        self._producing: defaultdict[str, _Producing] = defaultdict(_Producing)

    def create(
        self, topic: str, partitions: int = 1, *, max_message_bytes: int | None = None
    ) -> None:
        """Create a topic, or add partitions to it."""
        with self.changed:
            logs = self._logs.setdefault(topic, [])
            logs += [Log(TopicPartition(topic, n)) for n in range(len(logs), partitions)]
            if max_message_bytes is not None:
                self._limits[topic] = max_message_bytes
            for group in self._groups.values():
                group.share_out(self.partitions(list(self._logs)))
            self.changed.notify_all()

    def fail(self, call: Call, *faults: Fault) -> None:
        """Let the next calls of a kind fail, one after the other."""
        self._faults[call] += faults

    def heal(self) -> None:
        """Forget the faults that have not come yet."""
        self._faults.clear()

    def called(self, call: Call) -> Fault | None:
        """Begin a call; give its fault if that is for the client to act out.

        Raises:
            BrokerError: the call fails.
        """
        fault = self.during(call)
        with self.changed:
            if fault is None and self._faults[call]:
                fault = self._faults[call].popleft()
        if fault in {"fails", "fatal"}:
            raise BrokerError(f"{call}: a fault of the test", retriable=fault == "fails")
        return fault

    # topics

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Give the partitions of topics, as far as they are there."""
        return [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(len(self._logs.get(topic, ())))
        ]

    def log(self, partition: TopicPartition) -> Log:
        """Give a partition.

        Raises:
            BrokerError: there is none of that name.
        """
        logs = self._logs.get(partition.topic, [])
        if partition.partition >= len(logs):
            raise BrokerError(f"{partition}: the topic does not exist", retriable=False)
        return logs[partition.partition]

    def limits(self, topics: Iterable[str]) -> dict[str, int]:
        """Give the bytes that a record may have, of the topics that have a limit."""
        return {topic: self._limits[topic] for topic in topics if topic in self._limits}

    def write(
        self, record: OutRecord, partition: int, transaction: Transaction | None = None
    ) -> None:
        """Write a record."""
        log = self.log(TopicPartition(record.topic, partition))
        timestamp = int(time() * 1000) if record.timestamp is None else record.timestamp
        log.append(record.key, record.value, record.headers, timestamp, transaction)
        self.changed.notify_all()

    # groups

    def group(self, name: str) -> Group:
        """Give a group, which is there as soon as somebody names it."""
        if name not in self._groups:
            self._groups[name] = Group(name)
        return self._groups[name]

    def committed(self, group: str, topics: Iterable[str]) -> Mapping[TopicPartition, int]:
        """Give a group's committed positions.

        Raises:
            BrokerError: an open transaction holds one of them.
        """
        self.called("committed")
        with self.changed:
            found = {}
            for partition in self.partitions(topics):
                if self.group(group).unsettled(partition):
                    raise BrokerError(f"{partition}: not settled yet", retriable=True)
                position = self.group(group).committed(partition)
                if position is not None:
                    found[partition] = position[0]
            return found

    # transactions

    def register(self, transactional_id: str) -> int:
        """Begin an epoch of a transactional id.

        Its last transaction is aborted, its last owner is fenced.
        """
        state = self._producing[transactional_id]
        self._end(state, Outcome.ABORTED)
        state.epoch += 1
        return state.epoch

    def expire_transactions(self) -> None:
        """Abort what is open, as the transaction timeout does."""
        with self.changed:
            for state in self._producing.values():
                if state.transaction is not None:
                    self._end(state, Outcome.ABORTED)
                    state.epoch += 1

    def transaction(self, transactional_id: str, epoch: int) -> Transaction:
        """Give the open transaction, or open it.

        Raises:
            BrokerError: the epoch is over.
        """
        state = self._producing[transactional_id]
        if epoch != state.epoch:
            raise BrokerError(f"{transactional_id}: ProducerFencedError", retriable=True)
        if state.transaction is None:
            state.transaction = Transaction()
        return state.transaction

    def write_transactional(
        self, transactional_id: str, epoch: int, record: OutRecord, partition: int
    ) -> None:
        """Write a record in the transaction."""
        transaction = self.transaction(transactional_id, epoch)
        log = self.log(TopicPartition(record.topic, partition))
        state = self._producing[transactional_id]
        if log not in state.logs:
            state.logs.append(log)
        self.write(record, partition, transaction)

    def commit_transaction(
        self,
        transactional_id: str,
        epoch: int,
        who: Membership,
        positions: Mapping[TopicPartition, tuple[int, str]],
        fault: Fault | None,
    ) -> None:
        """Put positions into the transaction and end it.

        Raises:
            BrokerError: the epoch is over, or the group refuses the positions, or the call is to
                fail half done; the transaction stays open then.
        """
        transaction = self.transaction(transactional_id, epoch)
        if positions:
            group = self.group(who.group_id)
            refusal = group.refusal(who, transactional=True)
            if refusal is not None:
                raise BrokerError(f"the transaction was refused: {refusal}", retriable=True)
            group.commit(positions, transaction)
            state = self._producing[transactional_id]
            state.positions.setdefault(who.group_id, {}).update(positions)
        if fault == "half":
            raise BrokerError("commit: no answer", retriable=True)
        self._end(self._producing[transactional_id], Outcome.COMMITTED)

    def _end(self, state: _Producing, outcome: Outcome) -> None:
        if state.transaction is None:
            return
        state.transaction.outcome = outcome
        for log in state.logs:
            log.mark(state.transaction)
        for group, positions in state.positions.items():
            self.group(group).settled(state.transaction, positions)
        state.transaction = None
        state.logs = []
        state.positions = {}
        self.changed.notify_all()
