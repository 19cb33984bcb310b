import json
from contextlib import contextmanager

import pytest
from support.cluster import Cluster, Membership
from support.items import at, topology, wave

from streamer.encode import Encoder
from streamer.errors import BrokerError
from streamer.publish import ExactlyOnce, Outlet
from streamer.records import Permit


class Gate:
    """Lets partitions pass under the epochs it is given."""

    def __init__(self, epochs, membership):
        self.epochs = epochs
        self.membership = membership
        self.open = 0

    @contextmanager
    def publishing(self, waves):
        self.open += 1
        try:
            yield Permit(dict(self.epochs), self.membership)
        finally:
            self.open -= 1


class Publisher:
    def __init__(self, limits=None, interval=0.0, most_records=100):
        self.cluster = Cluster()
        self.gate = Gate({at(0): 1, at(1): 1}, Membership("me", 1))
        self.waiting = []
        self.waits = []
        self.slept = []
        self.stopping = False
        self.outcomes = []
        self.encoder = Encoder(topology())
        self.stage = ExactlyOnce(
            Outlet(topology(), self.encoder, limits or {}),
            self.cluster.open,
            self.gate,
            self.cluster.committed,
            self._ready,
            lambda: self.stopping,
            ended=self.outcomes.append,
            interval=interval,
            most_records=most_records,
            sleep=self._sleep,
        )
        self.on_sleep = lambda: None

    def _ready(self, taken, seconds):
        self.waits.append((len(taken), seconds))
        return self.waiting.pop(0) if self.waiting else None

    def _sleep(self, seconds):
        assert not self.gate.open  # a revocation never waits for a pause
        self.slept.append(seconds)
        self.on_sleep()

    def publish(self, *waves):
        waves = list(self.encoder.encoded(waves))
        return list(self.stage.published(waves))

    def offsets(self, topic="out"):
        found = {}
        for (where, partition), records in self.cluster.outputs.items():
            if where == topic:
                found[partition] = [offset_of(record) for record in records]
        return found


def offset_of(record):
    headers = dict(record.headers)
    if "streamer.error.offset" in headers:
        return int(headers["streamer.error.offset"])
    return json.loads(record.value)["source"]["offset"]


@pytest.fixture
def publisher():
    return Publisher()


def test_a_wave_is_written_and_committed_in_one_transaction(publisher):
    published = wave({0: range(3), 1: [7]})
    assert publisher.publish(published) == [published]
    assert publisher.offsets() == {0: [0, 1, 2], 1: [7]}
    assert publisher.cluster.positions == {at(0): 3, at(1): 8}
    assert publisher.outcomes == ["committed"]
    assert publisher.cluster.producers[-1].closed


def test_waves_that_are_there_share_a_transaction(publisher):
    publisher.waiting = list(publisher.encoder.encoded([wave({0: [3, 4]}), wave({0: [5]})]))
    published = publisher.publish(wave({0: range(3)}))
    assert len(published) == 3
    assert publisher.offsets() == {0: [0, 1, 2, 3, 4, 5]}
    assert publisher.cluster.positions == {at(0): 6}
    assert publisher.cluster.calls.count("commit") == 1


def test_a_position_that_moved_without_records_is_committed(publisher):
    moved = wave({0: []})
    moved.slices = {at(0): moved.slices[at(0)].__class__(1, 12, ())}
    publisher.publish(moved)
    assert publisher.cluster.positions == {at(0): 12}


@pytest.mark.parametrize("call", ["begin", "append", "flush", "commit"])
def test_after_a_failure_a_new_producer_reads_the_positions_before_it_writes(publisher, call):
    publisher.cluster.faults[call].append("fails")
    publisher.publish(wave({0: range(3)}))
    calls = publisher.cluster.calls
    assert [c for c in calls if c in {"open", "committed"}] == ["open", "open", "committed"]
    assert calls.index("committed") < len(calls) - 1 - calls[::-1].index("begin")
    assert publisher.offsets() == {0: [0, 1, 2]}
    assert publisher.cluster.producers[0].closed
    assert publisher.outcomes == ["aborted", "committed"]


@pytest.mark.parametrize("fault", ["lost", None])
def test_a_record_that_is_lost_is_never_committed_past(publisher, fault):
    publisher.cluster.faults["append"].extend([None, fault])
    if fault is None:
        publisher.cluster.faults["flush"].append("late")
    publisher.publish(wave({0: range(3)}))
    assert publisher.cluster.calls.count("commit") == 1
    assert publisher.offsets() == {0: [0, 1, 2]}


@pytest.mark.parametrize("outcome", ["unknown-done", "unknown-lost"])
def test_a_commit_of_unknown_outcome_is_settled_by_the_committed_positions(publisher, outcome):
    publisher.cluster.faults["commit"].append(outcome)
    publisher.publish(wave({0: range(3), 1: [4]}), wave({0: [3]}, number=1))
    assert publisher.offsets() == {0: [0, 1, 2, 3], 1: [4]}
    assert publisher.cluster.positions == {at(0): 4, at(1): 5}
    assert publisher.cluster.calls.count("commit") == (2 if outcome == "unknown-done" else 3)


def test_no_producer_and_no_positions_are_waited_for(publisher):
    publisher.cluster.faults["commit"].append("unknown-done")
    publisher.cluster.faults["open"].extend(["fails", "fails", None])
    publisher.cluster.faults["committed"].append("fails")
    publisher.publish(wave({0: range(3)}))
    assert publisher.offsets() == {0: [0, 1, 2]}
    assert len(publisher.slept) == 4
    assert publisher.slept == sorted(publisher.slept)
    assert all(producer.closed for producer in publisher.cluster.producers)


@pytest.mark.parametrize("call", ["begin", "append", "commit", "partitions"])
def test_what_no_try_gets_over_ends_the_stage(publisher, call):
    publisher.cluster.faults[call].append("fatal")
    with pytest.raises(BrokerError, match="may not"):
        publisher.publish(wave({0: range(3)}))
    assert publisher.cluster.positions == {}
    assert publisher.cluster.producers[-1].closed


def test_a_process_that_is_to_stop_at_once_tries_no_more(publisher):
    publisher.cluster.faults["flush"].append("late")
    publisher.stopping = True
    with pytest.raises(BrokerError):
        publisher.publish(wave({0: range(3)}))
    assert publisher.slept == []


def test_a_slice_of_another_epoch_is_dropped(publisher):
    stale = wave({0: range(3), 1: range(2)})
    publisher.gate.epochs[at(0)] = 2
    publisher.publish(stale)
    assert publisher.offsets() == {1: [0, 1]}
    assert publisher.cluster.positions == {at(1): 2}
    assert set(stale.slices) == {at(1)}  # who counts what was answered sees what was


def test_a_partition_lost_between_two_tries_is_not_tried_again(publisher):
    publisher.cluster.faults["flush"].append("late")
    publisher.on_sleep = lambda: publisher.gate.epochs.pop(at(0))
    publisher.publish(wave({0: range(3), 1: range(2)}))
    assert publisher.offsets() == {1: [0, 1]}


@pytest.mark.parametrize("membership", [None, Membership("", -1), Membership("me", -1)])
def test_whoever_is_no_member_never_publishes(publisher, membership):
    publisher.gate.membership = membership

    def lose_or_join():
        if len(publisher.slept) == 3:
            publisher.gate.epochs.clear()  # the loss is noticed at last

    publisher.on_sleep = lose_or_join
    publisher.publish(wave({0: range(3)}))
    assert "begin" not in publisher.cluster.calls
    assert publisher.cluster.positions == {}


def test_whoever_is_a_member_again_publishes(publisher):
    publisher.gate.membership = None
    publisher.on_sleep = lambda: setattr(publisher.gate, "membership", Membership("me", 1))
    publisher.publish(wave({0: range(3)}))
    assert publisher.offsets() == {0: [0, 1, 2]}


def test_whoever_is_no_member_when_it_is_to_stop_at_once_ends(publisher):
    publisher.gate.membership = None
    publisher.stopping = True
    with pytest.raises(BrokerError, match="no member"):
        publisher.publish(wave({0: range(3)}))


def test_the_membership_is_read_before_the_first_record_is_sent(publisher):
    # a rebalance during the transaction: the new generation must not lend it its name
    def rebalance(call):
        if call == "append" and publisher.cluster.generation == 1:
            publisher.cluster.generation = 2
            publisher.gate.membership = Membership("me", 2)
            publisher.gate.epochs.pop(at(0))

    publisher.cluster.during = rebalance
    publisher.publish(wave({0: range(3)}))
    assert publisher.offsets() == {}
    assert publisher.cluster.positions == {}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("culprits", [{5}, {0}, {19}, {3, 4, 11}, set(range(20))])
def test_only_what_is_refused_becomes_a_dead_letter(publisher, named, culprits):
    publisher.cluster.named = named
    publisher.cluster.poison = lambda out: out.topic == "out" and offset_of(out) in culprits
    publisher.publish(wave({0: range(20)}))
    assert publisher.offsets("letters").get(0, []) == sorted(culprits)
    assert publisher.offsets().get(0, []) == [n for n in range(20) if n not in culprits]
    assert publisher.cluster.positions == {at(0): 20}
    if len(culprits) == 1:
        assert publisher.cluster.calls.count("begin") <= (2 if named else 7)
    for letter in publisher.cluster.outputs["letters", 0]:
        headers = dict(letter.headers)
        assert headers["streamer.error.stage"] == b"produce"
        assert headers["streamer.error.reason"] == b"refused-by-broker"
        assert letter.value == headers["streamer.error.offset"]


def test_a_dead_letter_that_is_refused_loses_timestamp_value_and_record_in_turn(publisher):
    seen = []

    def poison(out):
        if out.topic == "letters":
            seen.append((out.timestamp, out.value, out.key))
            return len(seen) < 4
        return True

    publisher.cluster.poison = poison
    publisher.publish(wave({0: [5]}))
    assert seen == [(1005, b"5", b"k"), (None, b"5", b"k"), (None, b"", b"k"), (None, b"", None)]
    assert publisher.offsets("letters") == {0: [5]}


def test_a_dead_letter_of_nothing_that_is_refused_ends_the_stage(publisher):
    publisher.cluster.poison = lambda _out: True
    with pytest.raises(BrokerError, match="not even a bare dead letter"):
        publisher.publish(wave({0: [5]}))
    assert publisher.cluster.positions == {}


def test_what_is_known_to_be_too_large_is_not_even_sent():
    publisher = Publisher(limits={"out": 400, "letters": 2000})
    large, small = wave({0: [5]}), wave({0: [6]})
    large.slices[at(0)].items[0].answers["predict"].output.append("x" * 400)
    publisher.publish(large, small)
    [letter] = publisher.cluster.outputs["letters", 0]
    assert dict(letter.headers)["streamer.error.reason"] == b"too-large"
    assert publisher.offsets() == {0: [6]}
    assert publisher.cluster.calls.count("open") == 1


def test_a_wave_of_dropped_records_commits_their_positions(publisher):
    dropped = wave({0: range(3)})
    for item in dropped.items:
        item.dropped = True
    publisher.publish(dropped)
    assert publisher.cluster.positions == {at(0): 3}
    assert publisher.offsets() == {}


def test_a_transaction_gathers_for_its_interval_and_no_more_than_it_may():
    publisher = Publisher(interval=60.0, most_records=5)
    encoded = list(publisher.encoder.encoded([wave({0: [n, n + 1]}) for n in range(0, 10, 2)]))
    published = publisher.stage.published(encoded[:2])
    next(published)
    [(taken, seconds)] = publisher.waits  # how long a transaction takes is not known yet
    assert taken == 1
    assert seconds < 0.01
    publisher.waits.clear()
    publisher.waiting = encoded[2:]
    assert len(list(published)) == 3  # two, four, six: enough
    assert publisher.outcomes == ["committed", "committed"]
    assert [taken for taken, _ in publisher.waits] == [1, 2]
    assert all(59 < seconds <= 60 for _, seconds in publisher.waits)


def test_a_slow_transaction_gathers_only_what_is_computed():
    publisher = Publisher(interval=1e-9)
    encoded = list(publisher.encoder.encoded([wave({0: [n]}) for n in range(3)]))
    publisher.waiting = encoded[2:]
    assert len(list(publisher.stage.published(encoded[:2]))) == 3
    assert [taken for taken, _ in publisher.waits] == [1, 2, 1]
    assert all(0 < seconds < 0.01 for _, seconds in publisher.waits)  # a channel's hand-over
