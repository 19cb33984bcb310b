"""Polls, failures, revocations, evictions, crashes and commits in any order, on the whole line.

Two members of one group, each with its own Source and publisher, on a Kafka that fences as Kafka
does. Whatever happens: a position is never committed past a record that is not answered, answers
are in order, exactly-once answers once, and in the end nothing is lost.
"""

import json
from collections import deque
from itertools import count

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.items import IN, at
from support.member import Killed, Member

from streamer.errors import BrokerError
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
