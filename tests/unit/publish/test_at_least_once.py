import json
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cluster import Cluster
from support.items import at, topology, wave

from streamer.encode import Encoder
from streamer.errors import BrokerError
from streamer.publish import AtLeastOnce, Outlet
from streamer.records import Permit

PARTITION = ("out", 0)


class Publisher:
    def __init__(self):
        self.cluster = Cluster()
        self.epochs = {at(0): 1, at(1): 1}
        self.gates = 0
        self.answered = []
        self.slept = []
        self.stopping = False
        self.on_sleep = lambda: None
        self.encoder = Encoder(topology())
        self.stage = AtLeastOnce(
            Outlet(topology(), self.encoder, {}),
            lambda: self.cluster.open(transactional=False),
            self,
            self._note,
            lambda: self.stopping,
            sleep=self._sleep,
        )

    @contextmanager
    def publishing(self, waves):
        self.gates += 1
        try:
            yield Permit(dict(self.epochs), None)
        finally:
            self.gates -= 1

    def _note(self, positions):
        written = {p: set(self.offsets(p.partition)) for p in positions}
        written = {p: w | set(self.offsets(p.partition, "letters")) for p, w in written.items()}
        for partition, (_, position) in positions.items():
            assert written[partition] >= set(range(position))  # nothing before it is missing
        self.answered.append(positions)

    def _sleep(self, seconds):
        assert not self.gates  # a revocation never waits for a pause
        self.slept.append(seconds)
        self.on_sleep()

    def publish(self, *waves):
        return list(self.stage.published(self.encoder.encoded(waves)))

    def offsets(self, partition=0, topic="out"):
        return [offset_of(record) for record in self.cluster.outputs[topic, partition]]


def offset_of(record):
    headers = dict(record.headers)
    if "streamer.error.offset" in headers:
        return int(headers["streamer.error.offset"])
    return json.loads(record.value)["source"]["offset"]


def in_order_but_for_repetitions(offsets):
    """Whether each step leads to the next record, or back to one that was there before."""
    last = -1
    for offset in offsets:
        if offset > last + 1:
            return False
        last = max(last, offset)
    return True


@pytest.fixture
def publisher():
    return Publisher()


def test_positions_are_told_after_the_acknowledgements(publisher):
    publisher.publish(wave({0: range(3), 1: range(2)}), wave({0: [3]}))
    assert publisher.offsets() == [0, 1, 2, 3]
    assert publisher.answered == [{at(0): (1, 3), at(1): (1, 2)}, {at(0): (1, 4)}]
    assert publisher.cluster.producers[-1].closed


def test_no_wave_goes_before_the_one_that_failed(publisher):
    publisher.cluster.faults["flush"].extend(["late", "late", "late"])
    publisher.publish(wave({0: range(3)}), wave({0: [3]}))
    assert publisher.offsets() == [0, 1, 2, 3]
    assert [producer.closed for producer in publisher.cluster.producers] == [True] * 4
    assert publisher.slept == sorted(publisher.slept)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("culprits", [{5}, {0}, {19}, {3, 4, 11}, set(range(20))])
def test_only_what_is_refused_becomes_a_dead_letter(publisher, named, culprits):
    publisher.cluster.named = named
    publisher.cluster.poison = lambda out: out.topic == "out" and offset_of(out) in culprits
    publisher.publish(wave({0: range(20)}))
    assert publisher.offsets(topic="letters") == sorted(culprits)
    assert set(publisher.offsets()) == set(range(20)) - culprits
    assert publisher.answered == [{at(0): (1, 20)}]


def test_a_slice_of_another_epoch_is_neither_written_nor_told(publisher):
    publisher.epochs[at(0)] = 2
    stale = wave({0: range(3), 1: range(2)})
    publisher.publish(stale)
    assert publisher.offsets() == []
    assert publisher.answered == [{at(1): (1, 2)}]
    assert set(stale.slices) == {at(1)}


def test_a_partition_lost_between_two_tries_is_left_to_its_next_owner(publisher):
    publisher.cluster.faults["flush"].append("late")
    publisher.on_sleep = lambda: publisher.epochs.pop(at(0))
    publisher.publish(wave({0: range(3), 1: range(2)}))
    assert publisher.offsets(0) == []
    assert publisher.answered == [{at(1): (1, 2)}]


def test_what_no_try_gets_over_ends_the_stage(publisher):
    publisher.cluster.faults["append"].append("fatal")
    with pytest.raises(BrokerError, match="may not"):
        publisher.publish(wave({0: range(3)}))
    assert publisher.answered == []


def test_a_process_that_is_to_stop_at_once_tries_no_more(publisher):
    publisher.cluster.faults["flush"].append("late")
    publisher.stopping = True
    with pytest.raises(BrokerError):
        publisher.publish(wave({0: range(3)}))
    assert publisher.slept == []
    assert publisher.cluster.producers[-1].closed


def test_a_producer_that_does_not_open_is_waited_for(publisher):
    publisher.cluster.faults["flush"].append("late")
    publisher.cluster.faults["open"].extend(["fails", "fails"])
    publisher.publish(wave({0: range(3)}))
    assert publisher.offsets() == [0, 1, 2]
    assert len(publisher.slept) == 3


@given(st.data())
def test_whatever_fails_all_is_answered_and_in_order(data):
    publisher = Publisher()
    faults = publisher.cluster.faults
    some = st.lists(st.sampled_from([None, None, None, "fails"]), max_size=8)
    faults["append"].extend(
        data.draw(st.lists(st.sampled_from([None, None, None, "lost", "fails"]), max_size=30))
    )
    faults["flush"].extend(
        data.draw(st.lists(st.sampled_from([None, "late", "fails"]), max_size=8))
    )
    faults["partitions"].extend(data.draw(some))
    faults["open"].extend(data.draw(some))
    culprits = data.draw(st.sets(st.integers(0, 11)))
    publisher.cluster.named = data.draw(st.booleans())
    publisher.cluster.poison = lambda out: out.topic == "out" and offset_of(out) in culprits
    publisher.publish(wave({0: range(5)}), wave({0: range(5, 6)}), wave({0: range(6, 12)}))
    good = [n for n in range(12) if n not in culprits]
    rank = {offset: number for number, offset in enumerate(good)}
    assert in_order_but_for_repetitions([rank[offset] for offset in publisher.offsets()])
    assert set(publisher.offsets()) == set(good)
    letters = {offset: number for number, offset in enumerate(sorted(culprits))}
    told = publisher.offsets(topic="letters")
    assert set(told) == culprits
    assert in_order_but_for_repetitions([letters[offset] for offset in told])
    assert publisher.answered[-1] == {at(0): (1, 12)}
