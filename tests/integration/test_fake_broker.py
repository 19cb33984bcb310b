"""The Kafka in memory against the true one: the same script, the same observations."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Event
from uuid import uuid4

import pytest
from kafka.structs import ConsumerGroupMetadata
from support.items import topology
from support.waiting import eventually

from streamer.broker import MissingPositionsError, OutOfRangeError, group_metadata
from streamer.config import Settings
from streamer.config.settings import KafkaSettings
from streamer.consume import Assignment
from streamer.errors import BrokerError
from streamer.pipeline.connections import KafkaConnections
from streamer.records import OutRecord, TopicPartition
from streamer.testing import FakeKafka

QUIET_ROUNDS = 30
MAX_POLL_INTERVAL_S = 2.0


def _connections(broker, max_poll_interval):
    kafka = KafkaSettings(
        bootstrap_servers=broker, max_poll_interval=max_poll_interval, heartbeat_interval=0.2
    )
    return KafkaConnections(Settings(kafka=kafka))


class TrueSide:
    def __init__(self, broker, topics):
        self.connections = _connections(broker, 60.0)
        self.impatient = _connections(broker, MAX_POLL_INTERVAL_S)
        self.source, self.sink = topics.make(2, prefix="in"), topics.make(1, prefix="out")
        self._topics = topics

    def offsets(self, *, committed):
        isolation = "read_committed" if committed else "read_uncommitted"
        return [got.offset for got in self._topics.read(self.sink, isolation=isolation)]

    def end(self):
        return self._topics.ends(self.sink)[0]

    def neglect(self, _consumer):
        time.sleep(1.5 * MAX_POLL_INTERVAL_S)


class FakeSide:
    def __init__(self):
        self.connections = self.impatient = FakeKafka(waits=False)
        self.source, self.sink = "in", "out"
        self.connections.create(self.source, 2)
        self.connections.create(self.sink, 1)

    def offsets(self, *, committed):
        records = self.connections.records(self.sink, committed=committed)
        return [record.offset for record in records]

    def end(self):
        return self.connections.ends([self.sink])[TopicPartition(self.sink, 0)]

    def neglect(self, consumer):
        consumer.evict(told=True)


class Script:
    """What is done to either side, and what is seen of it."""

    def __init__(self, side, stack):
        self.side = side
        self.stack = stack
        self.topology = topology(
            name=f"t-{uuid4().hex[:12]}",
            source={"topics": [side.source], "format": "text"},
            sink={"topic": side.sink},
        )
        self.first, self.second = (TopicPartition(side.source, n) for n in (0, 1))
        self.id = f"id-{uuid4().hex[:12]}"
        self.seen = []

    def note(self, what, value):
        self.seen.append((what, value))

    def member(self, connections=None):
        assignment = Assignment()
        connections = connections or self.side.connections
        return self.opened(connections.consumer(self.topology, assignment)), assignment

    def producer(self, transactional_id):
        return self.opened(self.side.connections.producer(self.topology, transactional_id))

    def opened(self, client):
        return self.stack.enter_context(closing(client))

    def write(self, producer, topic, count, partition=0):
        source = TopicPartition(self.side.source, 0)
        now = int(time.time() * 1000)
        sent = [
            producer.append(OutRecord(topic, b"k", b"%d" % n, (), now, source), partition)
            for n in range(count)
        ]
        producer.flush()
        assert [pending.failure for pending in sent] == [None] * count

    def poll(self, consumer):
        """Poll once; give offsets by partition."""
        try:
            found = consumer.poll(0.05)
        except MissingPositionsError:
            return {}
        return {at.partition: [r.offset for r in records] for at, records in found.items()}

    def transact(self, producer, positions, group, note=""):
        """Write one record and commit positions with it; say whether that was refused."""
        producer.begin()
        self.write(producer, self.side.sink, 1)
        return self.commit(producer, positions, group, note)

    def commit(self, producer, positions, group, note=""):
        try:
            producer.commit(positions, group, lambda _partition: note)
        except BrokerError as error:
            return "refused, retriable" if error.retriable else "refused"
        return "committed"

    def look(self, what):
        committed = self.side.offsets(committed=True)
        uncommitted = self.side.offsets(committed=False)
        self.note(what, (self.side.end(), committed, uncommitted))

    # the scenes

    def play(self):
        one, held = self.member()
        eventually(lambda: self.poll(one) or len(held.epochs()) == 2, "all are assigned")
        self.reading(one)
        producer = self.transactions(one)
        two, others = self.member()

        old = one.group_metadata()
        self.settled([one, two], [held, others])
        self.fencing(producer, old, one, two, next(iter(held.epochs())))
        one.close()
        two.close()
        self.neglected()
        return self.seen

    def settled(self, consumers, assignments):
        """Wait until the partitions are shared out and no further generation begins."""
        quiet = [0, None]

        def same():
            now = [consumer.group_metadata().generation_id for consumer in consumers]
            now += [sorted(assignment.epochs().items()) for assignment in assignments]
            quiet[:] = [quiet[0] + 1 if now == quiet[1] else 0, now]
            fair = all(len(held.epochs()) == 2 // len(consumers) for held in assignments)
            return fair and now[0] == now[len(consumers) - 1] and quiet[0] > QUIET_ROUNDS

        done = Event()

        def poll(consumer):
            while not done.is_set():
                self.poll(consumer)

        with ThreadPoolExecutor() as pool:  # each by a thread of its own, as daemons do
            polling = [pool.submit(poll, consumer) for consumer in consumers]
            try:
                eventually(same, "the partitions are shared out")
            finally:
                done.set()
            for one in polling:
                one.result()

    def reading(self, consumer):
        first, second = self.first, self.second
        self.note("joined", (consumer.joined, sorted(p.partition for p in consumer.assignment())))
        self.note("nothing committed", consumer.committed(first))
        consumer.commit({first: 0, second: 0}, lambda partition: f"note {partition.partition}")
        self.note("committed", (consumer.committed(first), consumer.committed(second)))
        consumer.seek(first, 0)
        consumer.seek(second, 0)
        plain = self.producer(None)
        self.write(plain, self.side.source, 3)
        self.note("read", eventually(lambda: self.poll(consumer), "records"))
        self.note("position", consumer.position(first))
        left = self.producer(f"{self.id}-other")
        left.begin()
        self.write(left, self.side.source, 5)
        self.note("end before what is open", consumer.end([first])[first])
        self.write(plain, self.side.source, 1)
        self.poll(consumer)
        self.note("held back", consumer.position(first))
        self.producer(f"{self.id}-other")  # aborts what its predecessor left
        self.note("behind what was aborted", eventually(lambda: self.poll(consumer), "a record"))
        eventually(
            lambda: self.poll(consumer) or consumer.position(first) == 10, "behind the marker"
        )
        self.note("end", consumer.end([first])[first])
        consumer.seek(second, 100)
        self.note("out of range", self.out_of_range(consumer))
        consumer.seek(second, 0)
        self.note("not ours", consumer.seek(TopicPartition(self.side.source, 9), 0))

    def out_of_range(self, consumer):
        def found():
            try:
                consumer.poll(0.05)
            except OutOfRangeError as error:
                return {at.partition: offset for at, offset in error.positions.items()}
            return None

        return eventually(found, "it is out of range")

    def transactions(self, consumer):
        first, group = self.first, consumer.group_metadata()
        producer = self.producer(self.id)
        producer.begin()
        self.write(producer, self.side.sink, 3)
        self.look("open")
        self.note("commit", self.commit(producer, {first: 3}, group, "noted"))
        self.note("positions", (consumer.committed(first), consumer.committed(self.second)))
        self.look("committed: the marker takes an offset")
        producer.begin()
        self.write(producer, self.side.sink, 2)
        successor = self.producer(self.id)
        self.note("fenced by its successor", self.commit(producer, {first: 4}, group))
        self.note("positions", consumer.committed(first))
        self.look("aborted: so does its marker")
        successor.begin()
        self.write(successor, self.side.sink, 1)
        self.write(self.producer(None), self.side.sink, 1)
        self.look("what is open holds back what comes behind")
        self.note("commit", self.commit(successor, {}, group))
        self.look("until it ends")
        successor.begin()
        self.note("positions without records", self.commit(successor, {first: 5}, group))
        self.note("positions", consumer.committed(first))
        self.look("no record, no marker")
        return successor

    def fencing(self, producer, old, one, two, kept):
        """By generation and member only; `kept` is the partition of `one`."""
        self.note("old generation", self.transact(producer, {kept: 6}, old))
        producer = self.producer(self.id)
        self.look("refused")
        now = one.group_metadata()
        stranger = ConsumerGroupMetadata(now.group_id, now.generation_id, "nobody-knows", None)
        self.note("unknown member", self.transact(producer, {kept: 6}, stranger))
        producer = self.producer(self.id)
        self.note("another's partition", self.transact(producer, {kept: 7}, two.group_metadata()))
        self.note("position", one.committed(kept))
        nobody = group_metadata(self.topology.group)
        self.note("no member, generation -1", self.transact(producer, {kept: 8}, nobody))
        self.note("position", one.committed(kept))
        one.commit({kept: 2})
        self.note("plain commit, backwards", one.committed(kept))
        self.look("behind the fences")

    def neglected(self):
        """A member that polls too rarely leaves by itself, and learns of it late."""
        consumer, held = self.member(self.side.impatient)
        self.settled([consumer], [held])
        self.side.neglect(consumer)
        group = consumer.group_metadata()
        self.note("membership", (group.generation_id, group.member_id, consumer.joined))
        self.note("assignment", len(consumer.assignment()))
        producer = self.producer(self.id)
        self.note("not fenced at all", self.transact(producer, {self.first: 9}, group))
        committed = self.side.connections.committed(self.topology.group, [self.side.source])
        self.note("position", committed[self.first])
        try:
            consumer.commit({self.first: 1})
        except BrokerError as error:
            self.note("plain commit", error.retriable)


@pytest.mark.timeout(120)
def test_the_kafka_in_memory_does_what_the_true_one_does(broker, topics):
    with ExitStack() as stack:
        fake = Script(FakeSide(), stack).play()
        true = Script(TrueSide(broker, topics), stack).play()
    assert fake == true
