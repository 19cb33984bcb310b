"""Dead letters: found by what is said in their headers, and sent on their way again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streamer.broker import Admin, Originals, Producer, Reader, group_metadata, partition_for
from streamer.config import Settings
from streamer.config.units import parse_duration
from streamer.errors import BrokerError, ConfigError, StreamerError
from streamer.operate.lines import ERROR, error_in
from streamer.records import OutRecord, Record, TopicPartition

_POLL_S = 0.25
_MOST_AT_ONCE = 100_000
_MOST_BYTES = 256 * 2**20
"""Of a transaction, which is held in memory as a whole."""


@dataclass(frozen=True)
class Choice:
    """Which dead letters are meant; what is left out does not matter.

    Attributes:
        stage: decode, preprocess, infer, postprocess, encode or produce.
        reason: the fixed word of the error.
        error: the error's class.
        topology: the topology that gave the record up.
        since: how long ago at the most, as in `1h`, or a time as in 2025-03-01T12:00.
        until: how long ago at the least, or a time.
    """

    stage: str | None = None
    reason: str | None = None
    error: str | None = None
    topology: str | None = None
    since: str | None = None
    until: str | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is filtered out."""
        return self == Choice()

    def times(self, now: datetime) -> tuple[float | None, float | None]:
        """Give the bounds in milliseconds since the epoch.

        Raises:
            ConfigError: one is neither a duration nor a time.
        """
        return moment(self.since, now), moment(self.until, now)

    def fits(self, told: Mapping[str, str]) -> bool:
        """Whether a letter's headers are what is meant."""
        wanted = {
            "stage": self.stage,
            "reason": self.reason,
            "class": self.error,
            "topology": self.topology,
        }
        return all(value is None or told.get(name) == value for name, value in wanted.items())


def moment(text: str | None, now: datetime) -> float | None:
    """Read a time, or how long ago it is, as milliseconds since the epoch.

    Raises:
        ConfigError: it is neither.
    """
    if text is None:
        return None
    with suppress(ValueError):
        return (now - timedelta(seconds=parse_duration(text))).timestamp() * 1000
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"write a duration (30m, 2h, 1d) or a time (2025-03-01T12:00), not {text!r}"
        raise ConfigError(message) from error
    return (when if when.tzinfo else when.astimezone()).timestamp() * 1000


def letters(
    reader: Reader, topic: str, choice: Choice, begin: Mapping[TopicPartition, int] | None = None
) -> Iterator[Record]:
    """Yield the dead letters that are in a topic now and fit, in the order they are read.

    The time that counts is the one at which the original was written, which the letter carries.
    """
    earliest, latest = choice.times(datetime.now(UTC))
    partitions = reader.partitions(topic)
    ends = reader.ends(partitions)
    reader.assign(partitions)
    for partition, offset in (begin or {}).items():
        reader.seek(partition, offset)
    while any(reader.position(partition) < ends[partition] for partition in partitions):
        for record in reader.poll(_POLL_S):
            if record.offset >= ends[TopicPartition(record.topic, record.partition)]:
                continue
            told = error_in(record)
            early = earliest is not None and record.timestamp < earliest
            late = latest is not None and record.timestamp > latest
            if told and choice.fits(told) and not early and not late:
                yield record


def letter_at(reader: Reader, place: str) -> Record:
    """Find one dead letter by `TOPIC/PARTITION/OFFSET`.

    Raises:
        ConfigError: the place is not written so.
        StreamerError: there is no such record.
    """
    try:
        topic, partition, offset = place.rsplit("/", 2)
        source = {"topic": topic, "partition": int(partition), "offset": int(offset)}
    except ValueError as error:
        message = f"write TOPIC/PARTITION/OFFSET, not '{place}'"
        raise ConfigError(message) from error
    found = Originals(reader).find(source)
    if found is None:
        message = f"there is no record at {place}"
        raise StreamerError(message)
    return found


@dataclass(frozen=True)
class Replayed:
    """What a replay did.

    Attributes:
        counts: by original topic, what was sent.
        lost: letters whose originals are gone.
        more: whether so many were meant that some are left.
    """

    counts: Mapping[str, int]
    lost: Sequence[str]
    more: bool


def replay(settings: Settings, topic: str, choice: Choice, *, again: bool, dry: bool) -> Replayed:
    """Send dead letters to the topics they came from, with their original keys and headers.

    All go in one transaction: a replay that fails has sent nothing. Without filters it begins where
    the last one ended, which is committed in the same transaction for the group `streamer.replay`:
    run twice, it sends nothing twice. A transaction takes 100,000 at the
    most, and 256 MiB.

    Args:
        settings: where Kafka is.
        topic: of the dead letters.
        choice: which of them.
        again: also those that were replayed before.
        dry: send nothing, only count.

    Raises:
        BrokerError: Kafka refuses; nothing was sent.
    """
    group = "streamer.replay"
    kafka = settings.kafka
    with Admin(kafka) as admin, Reader(kafka) as reader, Reader(kafka) as finder:
        reader.partitions(topic)  # says what is wrong if there are none
        begin = {} if again or not choice.everything else admin.committed(group, [topic])
        originals = Originals(finder)
        chosen: list[OutRecord] = []
        lost: list[str] = []
        more, size = False, 0
        ends: dict[TopicPartition, int] = {}
        for letter in letters(reader, topic, choice, begin):
            more = len(chosen) == _MOST_AT_ONCE or size > _MOST_BYTES
            if more:
                break
            at = TopicPartition(letter.topic, letter.partition)
            ends[at] = letter.offset + 1
            original = _original(letter, originals)
            if original is None:
                lost.append(f"{at}/{letter.offset}")
            else:
                chosen.append(original)
                size += len(original.value or b"")
    counts: dict[str, int] = {}
    for record in chosen:
        counts[record.topic] = counts.get(record.topic, 0) + 1
    if chosen and not dry:
        _send(settings, f"{group}-{topic}", chosen, ends if choice.everything else {}, group)
    return Replayed(counts, lost, more)


def _original(letter: Record, originals: Originals) -> OutRecord | None:
    """Make the original record of a letter; None if its value was dropped and is gone."""
    told = error_in(letter)
    source = TopicPartition(told["topic"], int(told["partition"]))
    value = letter.value
    if told.get("truncated") == "true":
        place = {
            "topic": source.topic,
            "partition": source.partition,
            "offset": int(told["offset"]),
            "timestamp": int(told["timestamp"]),
        }
        found = originals.find(place)
        if found is None:
            return None
        value = found.value
    headers = tuple(header for header in letter.headers if not header[0].startswith(ERROR))
    return OutRecord(source.topic, letter.key, value, headers, None, source)


def _send(
    settings: Settings,
    transactional_id: str,
    records: Sequence[OutRecord],
    positions: Mapping[TopicPartition, int],
    group: str,
) -> None:
    # the default 15 s are for the daemon's small transactions; this one holds all at once
    kafka = settings.kafka.model_copy(update={"transaction_timeout": 300.0})
    producer = Producer(kafka, transactional_id=transactional_id)
    try:
        producer.begin()
        counts = {topic: producer.partitions(topic) for topic in {r.topic for r in records}}
        sent = [producer.append(r, partition_for(r, counts[r.topic], "key")) for r in records]
        producer.flush()
        failures = [pending.failure for pending in sent if pending.failure is not None]
        if failures:
            message = f"nothing was replayed: {len(failures)} records were refused: {failures[0]}"
            raise BrokerError(message, retriable=False)
        producer.commit(positions, group_metadata(group))
    finally:
        producer.close()
