"""A source of waves, read from a group on logs in memory."""

from streamer.broker import MissingPositionsError
from streamer.config.topology import WaveLimits
from streamer.consume import Assignment, Caution, Commits, Gatherer, Source
from streamer.runtime import Budget
from support.items import at, record

P0, P1 = at(0), at(1)


class Consumer:
    """A group member on logs in memory; `script` holds what happens in the next polls."""

    member_id = "streamer-1"

    def __init__(self, assignment, clock):
        self.gate = assignment
        self.clock = clock
        self.begins = {P0: 0, P1: 0}
        self.ends = {P0: 10, P1: 0}
        self.positions = {}
        self.stored = {P0: 0, P1: 0}
        self.paused = set()
        self.script = []
        self.polls = []
        self.commits = []
        self.soon = []
        self.fail_committed = []
        self.notes = {}
        self.closed = False
        self.most = 4

    def assign(self, *partitions):
        """Assign, as the client does within a poll: it goes to the committed position itself."""
        self.gate.assigned(partitions)
        for partition in partitions:
            self.positions[partition] = self.stored.get(partition)

    def members(self):
        return {self.member_id}

    def take(self, *partitions):
        self.gate.taken(partitions)
        for partition in partitions:
            self.positions.pop(partition)

    def poll(self, timeout):
        self.polls.append(timeout)
        self.clock[0] += timeout
        soon, self.soon = self.soon, []
        for positions, done, error in soon:
            if error is None:
                self.stored.update(positions)
                self.commits.append(positions)
            done(error)
        event = self.script.pop(0) if self.script else None
        if isinstance(event, Exception):
            raise event
        if event is not None:
            event()
        if any(position is None for position in self.positions.values()):
            raise MissingPositionsError
        found = {}
        for partition, position in self.positions.items():
            end = min(position + self.most, self.ends[partition])
            if partition not in self.paused and end > position:
                found[partition] = [record(n, partition.partition) for n in range(position, end)]
                self.positions[partition] = end
        return found

    def position(self, partition):
        return self.positions.get(partition)

    def committed(self, partition):
        if self.fail_committed:
            raise self.fail_committed.pop(0)
        stored = self.stored.get(partition)
        return None if stored is None else (stored, self.notes.get(partition, ""))

    def seek(self, partition, offset):
        if partition not in self.positions:
            return False
        self.positions[partition] = offset
        return True

    def assignment(self):
        return set(self.positions)

    def partitions_of(self, topic):
        return [P0, P1]

    def beginning(self, partitions):
        return {partition: self.begins[partition] for partition in partitions}

    def end(self, partitions):
        return {partition: self.ends[partition] for partition in partitions}

    def highwater(self, partition):
        return self.ends[partition]

    def pause(self, partitions):
        self.paused |= set(partitions)

    def resume(self, partitions):
        self.paused -= set(partitions)

    def commit(self, positions, note=None):
        self.stored.update(positions)
        self.commits.append(dict(positions))

    def commit_soon(self, positions, note, done):
        self.soon.append((positions, done, self.commit_error))

    commit_error = None

    def close(self):
        self.closed = True


class Events:
    def __init__(self):
        self.lost = {}
        self.pauses = []
        self.commits = 0

    def skipped(self, partition, records):
        self.lost[partition] = records

    def paused(self, partitions):
        self.pauses.append(partitions)

    def committed(self):
        self.commits += 1

    def __getattr__(self, name):
        return lambda *_: None


class World:
    def __init__(self, *, reset="earliest", out_of_range="stop", budget=10**9, most=6, wait=0.0):
        self.now = [1000.0]
        self.slept = []
        self.assignment = Assignment()
        self.consumer = Consumer(self.assignment, self.now)
        self.budget = Budget(budget)
        self.commits = Commits(0.1, clock=self.clock)
        self.events = Events()
        self.gatherer = Gatherer(
            WaveLimits(max_records=most, max_bytes=10**9),
            lambda records: [100] * len(records),
            clock=self.clock,
        )
        self.source = Source(
            self.consumer,
            self.assignment,
            self.gatherer,
            self.budget,
            Caution(most),
            self.commits,
            topics=["in"],
            reset=reset,
            out_of_range=out_of_range,
            max_wait=wait,
            events=self.events,
            clock=self.clock,
            sleep=self.slept.append,
        )
        self.room = True
        self.waited = []
        self.seen = []

    def clock(self):
        return self.now[0]

    def run(self, polls, *, settle=True):
        """Let the loop poll so often; what it cuts leaves the line at once if `settle`."""
        last = len(self.consumer.polls) + polls
        cut = []
        for wave in self.source.waves(
            lambda: self.room,
            self.waited.append,
            lambda: (
                len(self.consumer.polls) >= last and not self.gatherer
                if settle
                else len(self.consumer.polls) >= last
            ),
        ):
            cut.append(wave)
            self.seen += [item.record.offset for item in wave.items]
            if settle:
                self.budget.give_back(wave.cost_bytes)
                self.commits.answered({p: (s.epoch, s.position) for p, s in wave.slices.items()})
        return cut
