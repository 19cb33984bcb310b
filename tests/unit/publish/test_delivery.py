"""Polls, waves, transactions, revocations, evictions and failures, in any order.

A model of one member beside "the others" of its group, on a Kafka that fences by generation only.
After every step the outputs of a partition are exactly its records before the committed position:
nothing unanswered is committed past, nothing is out of order, nothing is there twice.
"""

import json
from collections import deque
from itertools import islice

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.cluster import Cluster, Membership
from support.items import answered, at, record, topology

from streamer.config.topology import WaveLimits
from streamer.consume import Assignment, Gatherer
from streamer.encode import Encoder
from streamer.publish import ExactlyOnce, Outlet
from streamer.records import Slice

PARTITIONS = st.sampled_from([at(0), at(1)])


def offset_of(output):
    headers = dict(output.headers)
    if "streamer.error.offset" in headers:
        return int(headers["streamer.error.offset"])
    return json.loads(output.value)["source"]["offset"]


class Delivery(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.logs = {at(0): [], at(1): []}  # True for a record, False for an offset without one
        self.cluster = Cluster(positions={at(0): 0, at(1): 0}, partitions=2)
        self.cluster.poison = lambda out: out.topic == "out" and offset_of(out) % 7 == 3
        self.assignment = Assignment()
        self.gatherer = Gatherer(
            WaveLimits(max_records=6, max_bytes=2**20), lambda records: [1] * len(records)
        )
        self.assignment.joined(Membership("me", 1))
        self.member = True
        self.reading = {}  # our positions
        self.line = deque()
        self.offered = deque()
        self.events = deque()
        self.encoder = Encoder(topology())
        self.stage = ExactlyOnce(
            Outlet(topology(), self.encoder, {}),
            self.cluster.open,
            self.assignment,
            self.cluster.committed,
            lambda _taken, _wait: self.offered.popleft() if self.offered else None,
            lambda: False,
            sleep=self.pause,
        )
        self.published = self.stage.published(self.feed())
        self.cluster.during = self.happen

    def feed(self):
        while True:
            yield self.offered.popleft()

    def owned(self):
        return self.assignment.epochs()

    # the group

    @initialize(mine=st.sets(PARTITIONS))
    def begin(self, mine):
        self.assign(mine)

    def assign(self, partitions):
        self.assignment.assigned(partitions)
        for partition in self.assignment.take_fresh():
            self.reading[partition] = self.cluster.positions[partition]
            self.gatherer.moved(partition, self.owned()[partition], self.reading[partition])
        self.gatherer.keep_only(self.owned())

    def take(self, partitions):
        self.assignment.taken(partitions)
        for partition in partitions:
            self.reading.pop(partition, None)
        self.gatherer.keep_only(self.owned())

    def rebalance(self):
        """Let the broker begin a generation; the member is told of what it changed, then of it."""
        self.cluster.generation += 1

    def joined(self):
        self.assignment.joined(Membership("me", self.cluster.generation))

    @precondition(lambda self: self.member and len(self.owned()) < 2)
    @rule(partition=PARTITIONS)
    def gain(self, partition):
        if partition not in self.owned():
            self.rebalance()
            self.assign({partition})
            self.joined()

    @precondition(lambda self: self.member)
    @rule(partition=PARTITIONS)
    def lose(self, partition):
        """A rebalance; under the cooperative protocol the generation moves before the callback."""
        if partition in self.owned():
            self.rebalance()
            self.assignment.closing({partition})
            self.take({partition})
            self.joined()
            self.rebalance()
            self.joined()

    @precondition(lambda self: self.member)
    @rule()
    def evicted(self):
        """The broker gives up on us; nobody has told us which partitions we lost."""
        self.rebalance()
        self.member = False

    @precondition(lambda self: not self.member)
    @rule(again=st.sets(PARTITIONS))
    def joins_again(self, again):
        self.take(set(self.owned()))
        self.rebalance()
        self.member = True
        self.assign(again)
        self.joined()

    @rule(partition=PARTITIONS, most=st.integers(1, 5))
    def others_answer(self, partition, most):
        """Another member answers what is not ours, or no longer ours although we don't know."""
        if partition in self.owned() and self.member:
            return
        position = self.cluster.positions[partition]
        for offset in range(position, min(position + most, len(self.logs[partition]))):
            if self.logs[partition][offset]:
                item = answered(record(offset, partition.partition))
                self.encoder.encode(item)
                self.cluster.outputs["out", partition.partition].append(item.output)
            self.cluster.positions[partition] = offset + 1

    # records

    @rule(partition=PARTITIONS, offsets=st.lists(st.sampled_from([True, True, False]), min_size=1))
    def records_come(self, partition, offsets):
        self.logs[partition] += offsets

    @rule(partition=PARTITIONS, most=st.integers(1, 4))
    def poll(self, partition, most):
        epoch = self.owned().get(partition)
        if epoch is None:
            return
        begin = self.reading[partition]
        end = min(begin + most, len(self.logs[partition]))
        found = [
            record(offset, partition.partition)
            for offset in range(begin, end)
            if self.logs[partition][offset]
        ]
        self.gatherer.add(partition, epoch, found)
        self.gatherer.moved(partition, epoch, end)
        self.reading[partition] = end

    @precondition(lambda self: bool(self.gatherer))
    @rule()
    def cut(self):
        wave = self.gatherer.cut(2**20)
        wave.slices = {
            partition: Slice(
                part.epoch, part.position, tuple(answered(item.record) for item in part.items)
            )
            for partition, part in wave.slices.items()
        }
        self.line += self.encoder.encoded([wave])

    # transactions

    @precondition(lambda self: self.line)
    @rule(
        together=st.integers(1, 3),
        faults=st.lists(
            st.tuples(
                st.sampled_from(["append", "flush", "commit", "open", "committed", "begin"]),
                st.sampled_from(["fails", "lost", "late", "unknown-done", "unknown-lost"]),
            ),
            max_size=3,
        ),
        events=st.lists(
            st.tuples(st.integers(0, 12), st.sampled_from(["lose", "evicted", "others"])),
            max_size=2,
        ),
    )
    def publish(self, together, faults, events):
        for call, fault in faults:
            self.cluster.faults[call].append(fault)
        self.events = deque(sorted(events))
        self.cluster.calls.clear()
        waves = [self.line.popleft() for _ in range(min(together, len(self.line)))]
        self.offered.extend(waves)
        assert list(islice(self.published, len(waves))) == waves
        self.cluster.faults.clear()
        self.events.clear()

    def happen(self, _call):
        """Let something happen in the middle of a transaction."""
        while self.events and self.events[0][0] <= len(self.cluster.calls):
            _, event = self.events.popleft()
            if event == "others":
                for partition in (at(0), at(1)):
                    self.others_answer(partition, 2)
            elif self.member and event == "evicted":
                self.evicted()
            elif self.member and event == "lose":
                self.lose(at(0))

    def pause(self, _seconds):
        if not self.member:
            self.joins_again(set())

    # what must hold

    @invariant()
    def outputs_are_the_records_before_the_committed_position(self):
        for partition, log in self.logs.items():
            position = self.cluster.positions[partition]
            expected = [offset for offset in range(position) if log[offset]]
            out = [offset_of(o) for o in self.cluster.outputs["out", partition.partition]]
            letters = [offset_of(o) for o in self.cluster.outputs["letters", partition.partition]]
            assert out == sorted(out)
            assert letters == sorted(letters)
            assert sorted(out + letters) == expected

    def teardown(self):
        """Without further trouble everything of ours is answered in the end."""
        if not self.member:
            self.joins_again({at(0), at(1)})
        for partition in set(self.logs) - set(self.owned()):
            self.gain(partition)
        for partition, log in self.logs.items():
            self.poll(partition, len(log) + 1)
        while self.gatherer:
            self.cut()
        while self.line:
            self.publish(1, [], [])
        for partition, log in self.logs.items():
            assert self.cluster.positions[partition] == len(log)
        self.outputs_are_the_records_before_the_committed_position()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=100, stateful_step_count=40)
