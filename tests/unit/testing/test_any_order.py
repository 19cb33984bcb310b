"""Polls, failures, revocations, evictions, crashes and commits in any order, on the whole line.

Two members of one group, each with its own Source and publisher, on a Kafka that fences as Kafka
does. Whatever happens: a position is never committed past a record that is not answered, answers
are in order, exactly-once answers once, and in the end nothing is lost.
"""

import json
from collections import deque
from itertools import count, islice

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.items import IN, at, topology

from streamer.config.topology import WaveLimits
from streamer.consume import Assignment, Caution, Commits, Gatherer, Source
from streamer.encode import Encoder
from streamer.errors import BrokerError
from streamer.publish import AtLeastOnce, ExactlyOnce, Outlet
from streamer.records import Answer
from streamer.runtime import Budget
from streamer.testing import FakeKafka
from streamer.testing.log import Outcome, Transaction

PARTITIONS = (at(0), at(1))
MEMBERS = st.integers(0, 1)
MANY = 200
FAULTS = {
    "append": ["fails", "lost"],
    "flush": ["fails", "half", "done"],
    "commit": ["fails", "half", "done"],
    "begin": ["fails"],
    "open": ["fails"],
    "partitions": ["fails"],
    "poll": ["fails"],
    "committed": ["fails"],
    "commit positions": ["fails", "done"],
    "commit soon": ["fails", "done"],
}


ALL_FAULTS = [(call, fault) for call, faults in FAULTS.items() for fault in faults]


class Killed(BaseException):
    """The process is gone, at whatever it was."""


class Events:
    def __getattr__(self, name):
        return lambda *_: None


class Member:
    """What one process holds: gone as a whole when it is killed."""

    def __init__(self, kafka, delivery, transactional_id):
        self.kafka = kafka
        self.topology = topology(delivery=delivery, wave={"max_records": 6})
        self.assignment = Assignment(self.unsettled)
        self.budget = Budget(2**30)
        self.caution = Caution(6)
        clock = count(0.0, 0.3).__next__
        self.commits = Commits(1.0, clock=clock)
        self.consumer = kafka.consumer(self.topology, self.assignment)
        exactly_once = delivery == "exactly-once"
        self.source = Source(
            self.consumer,
            self.assignment,
            Gatherer(WaveLimits(max_records=6), lambda records: [1] * len(records), clock=clock),
            self.budget,
            self.caution,
            None if exactly_once else self.commits,
            reset="earliest",
            out_of_range="stop",
            max_wait=0,
            events=Events(),
            clock=clock,
            sleep=lambda _seconds: None,
        )
        self.line = deque()
        self.offered = deque()
        self.sleeps = 0
        self.encoder = Encoder(self.topology)
        self.turning = False
        outlet = Outlet(self.topology, self.encoder, {})
        producer = kafka.producer
        self.stage = (
            ExactlyOnce(
                outlet,
                lambda: producer(self.topology, transactional_id),
                self.assignment,
                lambda partitions: kafka.committed(
                    self.topology.group, {p.topic for p in partitions}
                ),
                lambda _taken, _wait: self.offered.popleft() if self.offered else None,
                lambda: False,
                self.caution.note,
                sleep=self.pause,
            )
            if exactly_once
            else AtLeastOnce(
                outlet,
                lambda: producer(self.topology, None),
                self.assignment,
                self.commits.answered,
                lambda: False,
                sleep=self.pause,
            )
        )
        self.published = self.stage.published(self._feed())

    def unsettled(self, epochs):
        positions = self.commits.unsettled(epochs)
        return {p: (position, self.caution.note(p)) for p, position in positions.items()}

    def _feed(self):
        while True:
            yield self.offered.popleft()

    def turn(self, room):
        """Poll once, commit what is due, cut at most `room` waves."""
        if self.turning:
            return
        self.turning = True
        asked = polled = False
        first = len(self.line)

        def has_room():
            nonlocal asked
            asked = len(self.line) - first < room
            return asked

        def stopping():
            nonlocal asked, polled
            if asked:
                asked = False
                return False
            polled, before = True, polled
            return before

        try:
            for wave in self.source.waves(has_room, stopping):
                for item in wave.items:
                    if item.alive:
                        item.answers["predict"] = Answer("text-classification", "m", "1", [])
                self.line += self.encoder.encoded([wave])
        finally:
            self.turning = False

    def publish(self, together):
        waves = [self.line.popleft() for _ in range(min(together, len(self.line)))]
        self.offered.extend(waves)
        self.sleeps = 0
        if waves:
            for wave in islice(self.published, len(waves)):
                self.budget.give_back(wave.cost_bytes)
                for partition, part in wave.slices.items():
                    self.caution.passed(partition, len(part.items))

    def pause(self, _seconds):
        """Polls go on while publishing waits; in the end the transaction timeout passes."""
        self.sleeps += 1
        assert self.sleeps < 100
        if self.sleeps > 5:
            self.kafka.expire_transactions()
        self.turn(0)


class AnyOrder(RuleBasedStateMachine):
    delivery: str

    def __init__(self):
        super().__init__()
        self.kafka = FakeKafka(waits=False)
        self.kafka.create(IN, 2)
        self.kafka.create("out", 2)
        self.kafka.create("letters", 2)
        self.kafka.during = self.happen
        self.kafka.refuses = lambda out: (
            "refused-by-broker" if out.topic == "out" and offset_of(out)[1] % 17 == 11 else None
        )
        self.sent = count()
        self.calls = 0
        self.script = deque()
        self.busy = None
        self.reached = dict.fromkeys(PARTITIONS, 0)
        self.members = [self.start(0), self.start(1)]
        for partition in (0, 1):
            self.records_come(partition, ["plain"] * 5)
        for number in (0, 1, 0, 1):
            self.turn(number, 0)

    def start(self, number):
        while True:
            try:
                return Member(self.kafka, self.delivery, f"streamer-{number}")
            except BrokerError:
                continue  # a fault that was left over

    # records

    @rule(
        partition=st.integers(0, 1),
        kinds=st.lists(st.sampled_from(["plain", "plain", "committed", "aborted"]), min_size=1),
    )
    def records_come(self, partition, kinds):
        for kind in kinds:
            value = b"%d" % next(self.sent)
            if kind == "plain":
                self.kafka.append(IN, value, partition=partition)
                continue
            transaction = Transaction()
            self.kafka.append(IN, value, partition=partition, transaction=transaction)
            transaction.outcome = Outcome(kind)
            self.kafka.log(at(partition)).mark(transaction)

    # one member at work

    @rule(number=MEMBERS, room=st.integers(0, 3))
    def turn(self, number, room):
        self.do(number, lambda member: member.turn(room))

    @rule(
        number=MEMBERS,
        together=st.integers(1, 3),
        faults=st.lists(
            st.sampled_from(ALL_FAULTS),
            max_size=3,
        ),
        script=st.lists(
            st.tuples(
                st.integers(0, 15),
                st.sampled_from(
                    ["killed", "evicted", "frozen", "replaced", "other polls", "other publishes"]
                ),
            ),
            max_size=2,
        ),
    )
    def publish(self, number, together, faults, script):
        if not self.members[number].line:
            self.records_come(0, ["plain"] * 2)
            self.turn(number, 2)
        for call, fault in faults:
            self.kafka.fail(call, fault)
        self.script = deque(sorted(script))
        self.do(number, lambda member: member.publish(together))
        self.kafka.heal()
        self.script.clear()

    @rule(number=MEMBERS, fault=st.sampled_from(ALL_FAULTS))
    def fail_once(self, number, fault):
        self.publish(number, 1, [fault], [])

    def do(self, number, work):
        self.calls, self.busy = 0, number
        try:
            work(self.members[number])
        except Killed:
            self.busy = None  # what is left of the script is not for its successor
            self.replace(number)
        finally:
            self.busy = None

    def happen(self, call):
        """Let something happen in the middle of a member's work."""
        self.calls += 1
        if call in {"poll", "open"}:
            self.what_is_committed_is_answered_in_order()
        while self.busy is not None and self.script and self.script[0][0] <= self.calls:
            _, event = self.script.popleft()
            number, other = self.busy, 1 - self.busy
            if event == "killed":
                raise Killed
            if event in {"evicted", "frozen", "replaced"}:
                self.members[number].consumer.evict(told=event != "frozen")
            if event in {"replaced", "other polls", "other publishes"}:
                self.meanwhile(other, publishing=event != "other polls")

    def meanwhile(self, number, *, publishing):
        script, self.script = self.script, deque()
        busy, self.busy = self.busy, None
        member = self.members[number]
        try:
            for _ in range(3):
                member.turn(3)
            if publishing:
                member.publish(3)
                member.turn(0)
        finally:
            self.script, self.busy = script, busy

    # the group

    @rule(number=MEMBERS)
    def killed(self, number):
        self.replace(number)

    def replace(self, number):
        """The process dies with all it holds; the group notices, another one starts."""
        dead = self.members[number]
        dead.consumer.evict(told=False)
        self.kafka.heal()
        self.members[number] = self.start(number)

    @rule(number=MEMBERS, told=st.booleans())
    def evicted(self, number, told):
        self.members[number].consumer.evict(told=told)

    @rule(number=MEMBERS, told=st.booleans(), together=st.integers(0, 3))
    def forgotten(self, number, told, together):
        """Another member answers what one had in its line, which then publishes all the same."""
        self.turn(number, 1)
        self.members[number].consumer.evict(told=told)
        self.meanwhile(1 - number, publishing=True)
        self.do(number, lambda member: member.publish(together))

    @precondition(lambda self: self.delivery == "exactly-once")
    @rule()
    def transactions_expire(self):
        self.kafka.expire_transactions()

    # what must hold

    def visible(self, partition):
        return [record.offset for record in self.kafka.log(partition).committed()]

    def answers(self, partition):
        """Offsets in the order of their answers, letters and predictions apart."""
        return [
            [
                offset_of(record)[1]
                for record in self.kafka.log(at_out).committed()
                if offset_of(record)[0] == partition.partition
            ]
            for at_out in (partition._replace(topic="out"), partition._replace(topic="letters"))
        ]

    @invariant()
    def what_is_committed_is_answered_in_order(self):
        for partition in PARTITIONS:
            found = self.kafka.group("words").committed(partition)
            position = found[0] if found else 0
            assert position >= self.reached[partition]
            self.reached[partition] = position
            expected = [offset for offset in self.visible(partition) if offset < position]
            out, letters = self.answers(partition)
            # at-least-once may answer one again, and give it up then
            both = set(out) & set(letters)
            for offsets in (out, letters):
                first = [offset for offset in dict.fromkeys(offsets) if offset not in both]
                assert first == sorted(first)
            if self.delivery == "exactly-once":
                assert sorted(out + letters) == expected
            else:
                assert set(expected) <= set(out + letters)

    def teardown(self):
        """Without further trouble everything is answered."""
        self.members[1].consumer.evict(told=False)
        self.kafka.expire_transactions()
        last = self.members[0]
        for _ in range(MANY):
            last.turn(3)
            last.publish(3)
            if self.done():
                break
        assert self.done()
        self.what_is_committed_is_answered_in_order()
        for partition in PARTITIONS:
            out, letters = self.answers(partition)
            assert set(out + letters) == set(self.visible(partition))

    def done(self):
        group = self.kafka.group("words")
        return all(
            (group.committed(partition) or (0,))[0] == self.kafka.log(partition).end
            for partition in PARTITIONS
        )


def offset_of(record):
    """Give partition and offset of what is answered."""
    told = dict(record.headers)
    if "streamer.error.offset" in told:
        return int(told["streamer.error.partition"]), int(told["streamer.error.offset"])
    source = json.loads(record.value)["source"]
    return source["partition"], source["offset"]


class ExactlyOnceInAnyOrder(AnyOrder):
    delivery = "exactly-once"


class AtLeastOnceInAnyOrder(AnyOrder):
    delivery = "at-least-once"


@pytest.fixture(autouse=True)
def quiet():
    with structlog.testing.capture_logs():
        yield


TestExactlyOnce = ExactlyOnceInAnyOrder.TestCase
TestAtLeastOnce = AtLeastOnceInAnyOrder.TestCase
TestExactlyOnce.settings = settings(max_examples=60, stateful_step_count=25)
TestAtLeastOnce.settings = settings(max_examples=60, stateful_step_count=25)


def test_a_position_does_not_go_back_over_aborted_records_when_the_first_one_begins():
    state = AtLeastOnceInAnyOrder()
    for _ in range(3):
        state.killed(number=0)
    state.forgotten(number=0, together=0, told=False)
    state.records_come(0, ["aborted"])
    state.forgotten(number=1, together=0, told=False)
    state.fail_once(number=0, fault=("append", "fails"))
    state.what_is_committed_is_answered_in_order()
