"""The consume loop: polls without pause, gathers, and cuts a wave whenever the line has room."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from time import monotonic, sleep, time
from typing import Literal, Protocol

import structlog

from streamer.broker import Member, MissingPositionsError, OutOfRangeError, backoff
from streamer.consume.assignment import Assignment
from streamer.consume.beginnings import Beginnings
from streamer.consume.caution import Attempt, Caution
from streamer.consume.commits import Commits
from streamer.consume.gather import Gatherer
from streamer.errors import BrokerError
from streamer.records import Record, Rejection, TopicPartition, Wave, parent_ids
from streamer.runtime import Budget

_IDLE_POLL_S = 0.1
_BUSY_POLL_S = 0.01
_LOOK_S = 0.001
_POSITIONS_EVERY_S = 0.5
_RETRY_S = 0.2


class SourceEvents(Protocol):
    """What the loop tells of itself."""

    def consumed(self, records: int) -> None:
        """Records entered the line."""

    def paused(self, partitions: int) -> None:
        """So many partitions are paused now."""

    def ends(
        self, ends: Mapping[TopicPartition, int], behind_s: Mapping[TopicPartition, float]
    ) -> None:
        """The partitions that are ours end there; reading is so many seconds behind."""

    def begins(self, partition: TopicPartition, position: int) -> None:
        """A partition is read from there on."""

    def rebalanced(self) -> None:
        """Partitions were assigned."""

    def committed(self) -> None:
        """Positions were committed."""

    def skipped(self, partition: TopicPartition, records: int) -> None:
        """Records were lost to retention."""


class Source:
    """One member of the group, read by one thread.

    Args:
        consumer: the member.
        topics: that are read.
        assignment: which partitions are ours.
        gatherer: what has been polled.
        budget: the line's memory.
        caution: what crashes before have taught.
        commits: answered positions to commit; None where publish commits them itself.
        reset: where a partition begins that was never committed.
        out_of_range: what to do when retention has passed a position.
        max_wait: seconds an idle line holds a first record back in the hope of more.
        events: told of what happens.
        clock: monotonic seconds; passed in by tests, as is `sleep`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one loop
        self,
        consumer: Member,
        assignment: Assignment,
        gatherer: Gatherer,
        budget: Budget,
        caution: Caution,
        commits: Commits | None,
        *,
        topics: Iterable[str],
        reset: Literal["earliest", "latest"],
        out_of_range: Literal["stop", "earliest", "latest"],
        max_wait: float,
        events: SourceEvents,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._gatherer = gatherer
        self._budget = budget
        self._caution = caution
        self._commits = commits
        self._asked_for = tuple(topics) if reset == "latest" else ()
        self._beginnings = Beginnings(consumer, reset, out_of_range, clock)
        self._max_wait = max_wait
        self._events = events
        self._log = structlog.get_logger("consume")
        self._names: set[str] = set()
        self._settled: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._read_until: dict[TopicPartition, int] = {}
        self._positions_at = 0.0
        self._commit_again_at = 0.0
        self._clock = clock
        self._sleep = sleep
        self.moved_at = clock()

    def waves(
        self,
        has_room: Callable[[], bool],
        await_room: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> Iterator[Wave]:
        """Yield waves, each only when the line has room, until told to stop.

        Args:
            has_room: whether the line has room.
            await_room: waits until it has, for so many seconds at the most.
            stopping: whether to stop.
        """
        self._ask(stopping)
        while not stopping():
            if not self._gatherer:
                self._poll(_IDLE_POLL_S)
            elif self._ready() and not has_room():
                await_room(_BUSY_POLL_S)
                self._poll(_LOOK_S)  # no record is as urgent as room
            else:
                self._poll(_BUSY_POLL_S)
            self._commit()
            while self._ready() and has_room() and not stopping():
                wave = self._cut()
                if wave is None:
                    break
                yield wave
                if self._gatherer.records == 0:
                    break

    def linger(
        self, finished: Callable[[], bool], abandoned: Callable[[], bool] = lambda: False
    ) -> None:
        """Keep the membership and go on committing until what is in the line is published.

        Args:
            finished: whether the line is empty; what is answered is still committed then.
            abandoned: whether to leave at once.
        """
        while not abandoned():
            done = finished()
            self._pause(self._consumer.assignment())
            self._poll(_BUSY_POLL_S, gather=False)
            self._commit(now=True)
            if done and not self._uncommitted():
                return

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _ask(self, stopping: Callable[[], bool]) -> None:
        """Ask what has to be known before the group is joined."""
        while self._asked_for and not stopping():
            self.moved_at = self._clock()
            try:
                self._beginnings.ask(self._asked_for)
                self._asked_for = ()
            except BrokerError as error:
                self._wait_after(error)

    def _uncommitted(self) -> bool:
        return self._commits is not None and self._commits.waiting()

    def _ready(self) -> bool:
        if not self._gatherer:
            return False
        since = self._gatherer.since
        if since is None or self._gatherer.full or self._budget.taken_bytes:
            return True
        return self._clock() - since >= self._max_wait

    def _cut(self) -> Wave | None:
        """Cut a wave if the budget allows it; of a careful partition only into an empty line."""
        try:
            careful = self._begin_partitions()
        except BrokerError as error:
            self._wait_after(error)
            return None
        if careful:
            if self._budget.taken_bytes or self._uncommitted():
                return None
            partition = self._gatherer.next_partition()  # each has its turn, none its company
            step = self._caution.step(partition)
            wave = self._gatherer.cut(self._budget.left_bytes, only=partition, most=step)
            self._give_up(partition, wave)
        elif self._budget.fits(self._gatherer.next_cost_bytes()):
            wave = self._gatherer.cut(self._budget.left_bytes)
        else:
            return None
        self._budget.take(wave.cost_bytes)
        self._events.consumed(len(wave.items))
        return wave

    def _begin_partitions(self) -> bool:
        """Note that partitions' first records are begun; tell if any is to be taken in steps."""
        careful = False
        for partition in self._gatherer.partitions_with_records():
            attempt = self._caution.to_note(partition, self._consumer.member_id)
            if attempt is not None:
                # not the settled position: aborted records before the first may be committed
                position = self._gatherer.first_offset(partition)
                self._names.add(attempt.owner)
                self._consumer.commit({partition: position}, {partition: attempt.note}.__getitem__)
                self._caution.noted(partition, attempt)
                if attempt.step is not None:
                    self._log.warning(
                        "what begins here has ended its process before; taken in small steps",
                        **partition._asdict(),
                        offset=position,
                        tries=attempt.tries,
                        step=attempt.step,
                    )
            careful = careful or self._caution.step(partition) is not None
        return careful

    def _give_up(self, partition: TopicPartition, wave: Wave) -> None:
        """Reject the record that killed its process each time it was tried, alone at last."""
        items = wave.items
        tries = self._caution.give_up(partition) if items else None
        if tries is None:
            return
        message = f"the process ended {tries} times while this record was in the line"
        items[0].rejection = Rejection(
            "infer", None, "crashed", "ProcessCrash", message, attempts=tries
        )
        self._log.error(
            "a record is given up",
            **partition._asdict(),
            offset=items[0].record.offset,
            tries=tries,
            **parent_ids(items[0].record.headers),
        )

    def _poll(self, timeout: float, *, gather: bool = True) -> None:
        self.moved_at = self._clock()
        before = self._assignment.epochs()
        if gather:  # here and not at the end: a wave may have been cut since, and there is room
            self._pause(set(before) if self._gatherer.full else set())
        polled = self._polled(timeout)
        after = self._assignment.epochs()
        self._settled &= set(after)
        fresh = self._assignment.take_fresh()
        if fresh:
            self._events.rebalanced()
        self._settled -= fresh
        settled = set(self._settled)
        self._settle(set(after) - settled)
        after = self._assignment.epochs()
        self._gatherer.keep_only(after)
        self._caution.forget(set(after))
        for partition, records in polled.items():
            epoch = before.get(partition)
            # what was polled while the partition changed hands is read again from its commit
            mine = partition in settled and epoch is not None and epoch == after.get(partition)
            if gather and mine and epoch is not None:
                self._gatherer.add(partition, epoch, records)
                self._read_until[partition] = records[-1].timestamp
                self._note_position(partition, epoch)
        if gather:
            self._note_positions(after)

    def _polled(self, timeout: float) -> Mapping[TopicPartition, list[Record]]:
        try:
            return self._consumer.poll(timeout)
        except MissingPositionsError:
            pass  # they are settled next
        except OutOfRangeError as error:
            self._step_back_in_range(error.positions)
        except BrokerError as error:
            self._wait_after(error)
        return {}

    def _wait_after(self, error: BrokerError) -> None:
        if not error.retriable:
            raise error
        self._log.warning("polling failed, trying again", error=str(error))
        self._sleep(backoff(2))

    def _note_positions(self, epochs: Mapping[TopicPartition, int]) -> None:
        now = self._clock()
        if now - self._positions_at < _POSITIONS_EVERY_S:
            return
        self._positions_at = now
        ends, behind_s = {}, {}
        for partition in self._settled & set(epochs):
            position = self._note_position(partition, epochs[partition])
            end = self._consumer.highwater(partition)
            if position is not None and end is not None:
                ends[partition] = max(end, position)
                last = self._read_until.get(partition)
                behind = time() - last / 1000 if last is not None and end > position else 0.0
                behind_s[partition] = max(behind, 0.0)
        self._events.ends(ends, behind_s)

    def _note_position(self, partition: TopicPartition, epoch: int) -> int | None:
        """Take note of the offset read next, also when no record came (aborted transactions)."""
        try:
            position = self._consumer.position(partition)
        except BrokerError as error:
            if not error.retriable:
                raise
            return None
        if position is not None and partition in self._settled:
            self._gatherer.moved(partition, epoch, position)
        return position

    def _pause(self, wanted: set[TopicPartition]) -> None:
        self._paused &= self._consumer.assignment()
        if wanted - self._paused:
            self._consumer.pause(wanted - self._paused)
        if self._paused - wanted:
            self._consumer.resume(self._paused - wanted)
        if wanted != self._paused:
            self._events.paused(len(wanted))
        self._paused = set(wanted)

    def _commit(self, *, now: bool = False) -> None:
        if self._commits is None or self._commits.under_way():
            return
        if self._clock() < self._commit_again_at:
            return
        waiting = bool(self._gatherer) and not self._caution.careful
        idle = now or (not waiting and self._budget.taken_bytes == 0)
        due = self._commits.due(self._assignment.epochs(), idle=idle)
        if not due:
            return
        commits = self._commits

        def done(error: Exception | None) -> None:
            commits.ended(committed=error is None)
            if error is None:
                self._events.committed()
            else:
                self._log.warning("commit failed, trying again", error=repr(error))
                self._commit_again_at = self._clock() + _RETRY_S

        try:
            positions = {partition: position for partition, (_, position) in due.items()}
            self._consumer.commit_soon(positions, self._caution.note, done)
        except BrokerError as error:
            done(error)

    def _settle(self, partitions: set[TopicPartition]) -> None:
        """Read newly assigned partitions from where they begin."""
        members = cache(self._consumer.members)  # asked once for all, and only if need be
        for partition, (position, note) in self._beginnings.of(partitions).items():
            try:
                attempt = self._attempt(note, members)
            except BrokerError as error:
                self._wait_after(error)
                return
            if self._consumer.seek(partition, position):
                self._events.begins(partition, position)
                self._caution.settled(partition, attempt)
                self._settled.add(partition)
                epoch = self._assignment.epochs().get(partition)
                if epoch is not None:  # what moves from here without records is committed too
                    self._gatherer.moved(partition, epoch, position)

    def _attempt(self, note: str, members: Callable[[], set[str]]) -> Attempt:
        """Read what the last owner noted: one that is a member, or was this process, lives."""
        attempt = Attempt.read(note)
        if not attempt.owner:
            return attempt
        lives = attempt.owner in self._names or attempt.owner in members()
        return attempt.undone() if lives else attempt

    def _step_back_in_range(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on where the log still has, or already has, records; count what was lost."""
        for partition, position in positions.items():
            try:
                reached = self._consumer.position(partition)
                if reached is not None and reached != position:  # a late word: it has gone on
                    self._consumer.seek(partition, reached)
                    continue
                target = self._beginnings.in_range(partition, position)
                if target < position:
                    self._assignment.rewound(partition)
                    # what is committed lies behind what is answered next, and would pass for done
                    if partition in self._consumer.assignment():
                        self._consumer.commit({partition: target})
            except BrokerError as error:
                self._wait_after(error)
                self._consumer.seek(partition, position)  # it is found out of range again
                continue
            self._events.skipped(partition, max(target - position, 0))
            self._consumer.seek(partition, target)
