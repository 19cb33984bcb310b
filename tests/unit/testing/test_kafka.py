import inspect

import pytest
from support.items import IN, at, topology

from streamer.broker import (
    GroupConsumer,
    MissingPositionsError,
    OutOfRangeError,
    Pending,
    Producer,
    group_metadata,
)
from streamer.consume import Assignment
from streamer.errors import BrokerError, RecordError
from streamer.records import OutRecord
from streamer.testing import FakeKafka
from streamer.testing.consumer import FakeConsumer
from streamer.testing.log import Log, Outcome, Transaction
from streamer.testing.producer import FakePending, FakeProducer

P0, P1 = at(0), at(1)


@pytest.fixture
def kafka():
    made = FakeKafka(waits=False)
    made.create(IN, 2)
    made.create("out", 1)
    return made


def member(kafka, partitions=(P0, P1)):
    assignment = Assignment()
    consumer = kafka.consumer(topology(), assignment)
    if partitions:
        with pytest.raises(MissingPositionsError):
            consumer.poll(0)
        for partition in partitions:
            consumer.commit({partition: 0})
    return consumer, assignment


def out(number=0, topic="out"):
    return OutRecord(topic, b"k", b"%d" % number, (), 1, P0)


def written(producer, count=1):
    sent = [producer.append(out(number), 0) for number in range(count)]
    producer.flush()
    return [pending.failure for pending in sent]


def values(kafka, **how):
    return [record.value for record in kafka.records("out", **how)]


@pytest.mark.parametrize(
    ("fake", "true"),
    [(FakeConsumer, GroupConsumer), (FakeProducer, Producer), (FakePending, Pending)],
)
def test_a_fake_has_every_method_of_the_true_one_and_takes_the_same(fake, true):
    for name, method in inspect.getmembers(true):
        if name.startswith("_") or not (callable(method) or isinstance(method, property)):
            continue
        assert name in vars(fake), f"{fake.__name__}.{name} is the true one's"
        if callable(method):
            taken = list(inspect.signature(getattr(fake, name)).parameters)
            assert taken == list(inspect.signature(method).parameters)


# logs


def test_a_marker_takes_an_offset_and_what_is_aborted_is_passed_by():
    log = Log(P0)
    aborted, committed = Transaction(), Transaction()
    log.append(None, b"a", (), 0, aborted)
    log.append(None, b"b", (), 0, committed)
    assert (log.end, log.stable_end, log.read(0)) == (2, 0, ([], 0))
    aborted.outcome, committed.outcome = Outcome.ABORTED, Outcome.COMMITTED
    log.mark(aborted)
    log.mark(committed)
    log.append(None, b"c", (), 0)
    records, position = log.read(0)
    assert [(record.offset, record.value) for record in records] == [(1, b"b"), (4, b"c")]
    assert position == log.end == log.stable_end == 5
    assert log.read(0, most=1)[1] == 2
    assert [record.value for record in log.read(0, committed=False)[0]] == [b"a", b"b", b"c"]


# groups


def test_a_member_is_given_all_and_gives_back_half(kafka):
    one, held = member(kafka)
    assert set(held.epochs()) == {P0, P1}
    two, others = member(kafka, ())
    two.poll(0)
    assert others.epochs() == {}  # nothing is taken from who has not given it back
    old = one.group_metadata()
    one.poll(0)
    two.poll(0)
    one.poll(0)
    assert len(held.epochs()) == len(others.epochs()) == 1
    assert set(held.epochs()) | set(others.epochs()) == {P0, P1}
    assert one.group_metadata().generation_id > old.generation_id
    assert one.group_metadata().generation_id == two.group_metadata().generation_id
    two.close()
    one.poll(0)
    assert set(held.epochs()) == {P0, P1}


def test_what_is_answered_is_committed_before_a_partition_is_given_back(kafka):
    assignment = Assignment(lambda epochs: dict.fromkeys(epochs, (0, "last")))
    one = kafka.consumer(topology(), assignment)
    with pytest.raises(MissingPositionsError):
        one.poll(0)
    for partition in (P0, P1):
        one.commit({partition: 0})
    two, others = member(kafka, ())
    two.poll(0)
    one.poll(0)  # gives one of the two back
    two.poll(0)
    [moved] = others.epochs()
    [kept] = assignment.epochs()
    assert two.committed(moved) == (0, "last")
    assert two.committed(kept) == (0, "")


def test_a_revocation_waits_for_what_is_being_published():
    kafka = FakeKafka()
    kafka.create(IN, 2)
    one, held = member(kafka)
    two, others = member(kafka, ())
    wave = type("Wave", (), {"slices": {P0: None, P1: None}})
    two.poll(0)
    with held.publishing([wave]):
        one.poll(0)
        assert set(held.epochs()) == {P0, P1}
    one.poll(0)
    two.poll(0)
    assert len(held.epochs()) == len(others.epochs()) == 1


@pytest.mark.parametrize("told", [True, False])
def test_a_member_that_is_given_up_joins_again_with_its_next_poll(kafka, told):
    one, held = member(kafka)
    before = held.epochs()
    one.evict(told=told)
    assert one.joined is not told
    assert one.assignment() == {P0, P1}  # it does not know yet
    with pytest.raises(BrokerError, match="committing"):
        one.commit({P0: 1})
    one.poll(0)
    assert held.epochs() == {partition: epoch + 1 for partition, epoch in before.items()}
    one.commit({P0: 1})


def test_out_of_range_is_told_and_never_reset(kafka):
    one, _ = member(kafka)
    for _ in range(3):
        kafka.append(IN, b"x")
    kafka.log(P0).trim(2)
    with pytest.raises(OutOfRangeError) as told:
        one.poll(0)
    assert told.value.positions == {P0: 0}
    assert one.beginning([P0]) == {P0: 2}
    assert one.seek(P0, 2)
    assert [record.offset for record in one.poll(0)[P0]] == [2]


def test_paused_partitions_are_not_read(kafka):
    one, _ = member(kafka)
    kafka.append(IN, b"x")
    kafka.append(IN, b"y", partition=1)
    one.pause([P0])
    assert set(one.poll(0)) == {P1}
    one.resume([P0])
    assert set(one.poll(0)) == {P0}


@pytest.mark.parametrize(("fault", "position"), [("fails", 0), ("done", 1)])
def test_a_commit_that_is_not_waited_for_tells_its_outcome_with_a_poll(kafka, fault, position):
    one, _ = member(kafka)
    kafka.append(IN, b"x")
    told = []
    kafka.fail("commit soon", fault)
    one.commit_soon({P0: 1}, lambda _partition: "", told.append)
    assert told == []
    one.poll(0)
    assert isinstance(told[0], BrokerError)
    assert one.committed(P0) == (position, "")


# transactions


def test_nothing_of_a_transaction_is_seen_before_its_end(kafka):
    one, _ = member(kafka)
    producer = kafka.producer(topology(), "id")
    producer.begin()
    assert written(producer, 2) == [None, None]
    assert values(kafka) == []
    assert len(values(kafka, committed=False)) == 2
    producer.commit({P0: 1}, one.group_metadata(), lambda partition: f"n{partition.partition}")
    assert values(kafka) == [b"0", b"1"]
    assert one.committed(P0) == (1, "n0")


def test_who_takes_over_an_id_aborts_and_fences_its_predecessor(kafka):
    one, _ = member(kafka)
    first = kafka.producer(topology(), "id")
    first.begin()
    written(first)
    kafka.producer(topology(), "id")
    with pytest.raises(BrokerError, match="Fenced") as told:
        first.commit({P0: 1}, one.group_metadata())
    assert told.value.retriable
    assert values(kafka) == []
    assert kafka.log(P0._replace(topic="out")).end == 2
    with pytest.raises(BrokerError, match="failed before"):
        first.begin()


def test_positions_of_nobody_are_taken_and_those_of_strangers_are_not(kafka):
    one, _ = member(kafka)
    old = one.group_metadata()
    two, _ = member(kafka, ())
    two.poll(0)
    for who, refused in (
        (old, True),
        (two.group_metadata(), False),
        (group_metadata("words"), False),
    ):
        producer = kafka.producer(topology(), "id")
        producer.begin()
        written(producer)
        if refused:
            with pytest.raises(BrokerError, match="refused: IllegalGeneration"):
                producer.commit({P0: 7}, who)
        else:
            producer.commit({P0: 7}, who)  # P0 is neither's


def test_the_commit_does_not_notice_a_record_that_expired(kafka):
    one, _ = member(kafka)
    producer = kafka.producer(topology(), "id")
    producer.begin()
    kafka.fail("append", "lost")
    failures = written(producer, 2)
    assert all(isinstance(failure, BrokerError) for failure in failures)
    producer.commit({P0: 2}, one.group_metadata())
    assert values(kafka) == []
    assert one.committed(P0) == (2, "")  # the trap: both are lost


def test_an_open_transaction_unsettles_its_positions_until_it_expires(kafka):
    one, _ = member(kafka)
    producer = kafka.producer(topology(), "id")
    producer.begin()
    kafka.fail("commit", "half")
    with pytest.raises(BrokerError):
        producer.commit({P0: 2}, one.group_metadata())
    with pytest.raises(BrokerError, match="not settled"):
        one.committed(P0)
    with pytest.raises(BrokerError, match="not settled"):
        kafka.committed("words", [IN])
    kafka.expire_transactions()
    assert one.committed(P0) == (0, "")


@pytest.mark.parametrize(("fault", "count"), [("fails", 0), ("half", 1), ("done", 2)])
def test_a_flush_that_fails_leaves_what_its_fault_says(kafka, fault, count):
    producer = kafka.producer(topology(), None)
    kafka.fail("flush", fault)
    with pytest.raises(BrokerError):
        written(producer, 2)
    assert len(values(kafka)) == count
    with pytest.raises(BrokerError, match="failed before"):
        producer.flush()


def test_a_refused_record_takes_those_behind_it_with_it(kafka):
    kafka.refuses = lambda record: "too-large" if record.value == b"1" else None
    failures = written(kafka.producer(topology(), None), 3)
    assert failures[0] is None
    assert isinstance(failures[1], RecordError)
    assert failures[1].reason == "too-large"
    assert isinstance(failures[2], BrokerError)
    assert values(kafka) == [b"0"]


def test_there_must_be_a_topic(kafka):
    with pytest.raises(BrokerError, match="does not exist"):
        kafka.producer(topology(), None).partitions("nowhere")
    with pytest.raises(BrokerError, match="does not exist"):
        kafka.append("nowhere", b"x")
