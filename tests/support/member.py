"""A member of a group on a Kafka in memory, with its own source and publisher."""

from collections import deque
from itertools import count, islice

from streamer.config.topology import WaveLimits
from streamer.consume import Assignment, Caution, Commits, Gatherer, Source
from streamer.encode import Encoder
from streamer.publish import AtLeastOnce, ExactlyOnce, Outlet
from streamer.records import Answer
from streamer.runtime import Budget
from support.items import topology


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
            topics=self.topology.source.topics,
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
            for wave in self.source.waves(has_room, lambda _: None, stopping):
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
