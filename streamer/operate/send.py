"""Files to a topic, each record acknowledged or counted as not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from streamer.broker import Admin, Pending, Producer, partition_for, wait_for_brokers
from streamer.config import Settings
from streamer.errors import BrokerError
from streamer.operate.entries import Entry, found_files, total_bytes
from streamer.operate.outgoing import Sending, outgoing
from streamer.records import OutRecord

# Records on their way at once: enough to fill batches, little enough to hold in memory.
_MOST_RECORDS = 2000
_MOST_BYTES = 32 * 2**20
_SHORT_WAIT_S = 0.02
_SHOWN_FAILURES = 5
_ATTEMPTS = 4
_SENT_AGAIN_WITHIN_S = 10.0
_BROKER_PATIENCE_S = 10.0


@dataclass
class Tally:
    """What became of the records."""

    acknowledged: int = 0
    acknowledged_bytes: int = 0
    failures: list[str] = field(default_factory=list)
    failed: int = 0


class Writer(Protocol):
    """What sending needs of a producer."""

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions."""
        ...

    def append(self, record: OutRecord, partition: int) -> Pending:
        """Put a record on its way."""
        ...

    def flush(self) -> None:
        """Wait until each is written or refused."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def send_files(sending: Sending, settings: Settings) -> int:
    """Send, showing progress on a terminal; give the exit code.

    Raises:
        ConfigError: a file is not there, a header or key is not written as it should be.
        BrokerError: Kafka cannot be reached or refuses the topic.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    files = found_files(sending.files)
    records = outgoing(sending, files)
    wait_for_brokers(settings.kafka, give_up_after=_BROKER_PATIENCE_S)
    _require_topic(sending, settings)
    tally = Tally()
    began = time.monotonic()
    size = total_bytes(files)
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[records]:,} records"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%") if size else MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        bar = progress.add_task("send", total=size and size * sending.repeat, records=0, rate=0.0)

        def moved(read_bytes: int) -> None:
            done = tally.acknowledged + tally.failed
            rate = done / max(time.monotonic() - began, 1e-3)
            progress.update(bar, advance=read_bytes, records=done, rate=rate)

        try:
            Sender(lambda: Producer(settings.kafka), sending, tally, moved).send(records)
        except BrokerError as error:
            tally.failures.append(str(error))
            tally.failed = max(tally.failed, 1)
        finally:
            _report(console, sending.topic, tally, time.monotonic() - began)
    return 1 if tally.failed else 0


def _require_topic(sending: Sending, settings: Settings) -> None:
    """See that the topic is there: the producer would ask for it again and again for a minute."""
    with Admin(settings.kafka) as admin:
        if admin.partitions(sending.topic) is None:
            if not sending.create:
                told = f"the topic '{sending.topic}' does not exist; --create makes it"
                raise BrokerError(told, retriable=False)
            admin.create(sending.topic, -1)


class Sender:
    """Sends records in handfuls, waiting for the acknowledgements of each."""

    def __init__(  # noqa: PLR0913 - the clock is passed in by tests
        self,
        open_writer: Callable[[], Writer],
        sending: Sending,
        tally: Tally,
        moved: Callable[[int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open_writer = open_writer
        self._writer = open_writer()
        self._sending = sending
        self._tally = tally
        self._moved = moved
        self._clock = clock
        self._sleep = sleep
        self._pending: list[Pending] = []
        self._pending_bytes = 0
        self._read_bytes = 0

    def send(self, records: Iterator[tuple[OutRecord, Entry]]) -> None:
        """Send all of them; what was on its way when something broke is settled first.

        Raises:
            BrokerError: Kafka did not say in time what became of records.
        """
        partitions = self._writer.partitions(self._sending.topic)
        began = self._clock()
        try:
            for number, (record, entry) in enumerate(records):
                self._pace(began, number)
                where = partition_for(record, partitions, "key")
                self._pending.append(self._writer.append(record, where))
                self._pending_bytes += len(record.value or b"")
                self._read_bytes += entry.read_bytes
                if len(self._pending) >= _MOST_RECORDS or self._pending_bytes >= _MOST_BYTES:
                    self._settle()
        finally:
            self._settle()
            self._writer.close()

    def _pace(self, began: float, number: int) -> None:
        """Wait until a record is due; rather than sleep, ask after those on their way."""
        if self._sending.rate is None:
            return
        due = began + number / self._sending.rate
        if due - self._clock() > _SHORT_WAIT_S:
            self._settle()
        wait = due - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _settle(self) -> None:
        """Wait for the acknowledgements of what is on its way.

        A record that Kafka refuses takes those behind it with it: the client gives them up, and
        they are sent again by another producer.
        """
        began = self._clock()
        for attempt in range(1, _ATTEMPTS + 1):
            waiting, self._pending = self._pending, []
            if not waiting:
                break
            try:
                self._writer.flush()
            finally:
                late = self._clock() - began > _SENT_AGAIN_WITHIN_S
                again = self._counted(waiting, last=late or attempt == _ATTEMPTS)
            if again:
                self._writer.close()
                self._writer = self._open_writer()
                self._writer.partitions(self._sending.topic)  # makes the topic known to it
                self._pending = [
                    self._writer.append(pending.record, pending.partition) for pending in again
                ]
        self._moved(self._read_bytes)
        self._pending_bytes = self._read_bytes = 0

    def _counted(self, waiting: list[Pending], *, last: bool) -> list[Pending]:
        """Count what became of records; give those that are to be sent again."""
        again = []
        for pending in waiting:
            failure = pending.failure
            if failure is None:
                self._tally.acknowledged += 1
                self._tally.acknowledged_bytes += len(pending.record.value or b"")
            elif isinstance(failure, BrokerError) and failure.retriable and not last:
                again.append(pending)
            else:
                self._tally.failed += 1
                self._tally.failures.append(str(failure))
        return again


def _report(console: Console, topic: str, tally: Tally, seconds: float) -> None:
    size = tally.acknowledged_bytes / 1e6
    rate = tally.acknowledged / max(seconds, 1e-3)
    console.print(
        f"{tally.acknowledged:,} records ({size:,.1f} MB) written to {topic} "
        f"in {seconds:.1f} s, {rate:,.0f} a second"
    )
    if tally.failed:
        console.print(f"{tally.failed:,} not acknowledged:", style="red", markup=False)
        for told in list(dict.fromkeys(tally.failures))[:_SHOWN_FAILURES]:
            console.print(f"  {told}", style="red", markup=False)
