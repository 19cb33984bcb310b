"""Dead letters: the original record byte for byte, and in its headers why it is one."""

import hashlib

from msgspec.structs import replace

from streamer.records import Headers, OutRecord, Record, Rejection, TopicPartition

_PREFIX = "streamer.error."
_MESSAGE_CHARS = 2000
_TRUNCATED = _PREFIX + "truncated"
_REPLACED = _PREFIX + "replaced"


def dead_letter(topic: str, topology: str, record: Record, rejection: Rejection) -> OutRecord:
    """Make the dead letter of a record."""
    told = {
        "stage": rejection.stage,
        "step": rejection.step or "",
        "reason": rejection.reason,
        "class": rejection.error,
        "message": rejection.message[:_MESSAGE_CHARS],
        "topology": topology,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "attempts": str(rejection.attempts),
    }
    headers = tuple((_PREFIX + name, text.encode(errors="replace")) for name, text in told.items())
    return OutRecord(
        topic=topic,
        key=record.key,
        value=record.value,
        headers=record.headers + headers,
        timestamp=record.timestamp if record.timestamp >= 0 else None,
        source=TopicPartition(record.topic, record.partition),
    )


def smaller(letter: OutRecord, *, too_large: bool) -> OutRecord | None:
    """Make a dead letter that was refused once more acceptable; None if nothing is left to omit.

    First goes the timestamp, unless the size is at fault (it is in the headers too), then the
    value, then key and headers.
    """
    marks = {name for name, _ in _why(letter)}
    if letter.timestamp is not None and not too_large:
        return replace(letter, timestamp=None)
    if _TRUNCATED not in marks:
        return without_value(letter)
    if _REPLACED not in marks:
        return _without_record(letter)
    return None


def without_value(letter: OutRecord) -> OutRecord:
    """Make a dead letter small enough to be written: its value is told by size and SHA-256."""
    value = letter.value or b""
    told = (
        (_TRUNCATED, b"true"),
        (_PREFIX + "value-dropped", str(len(value)).encode()),
        (_PREFIX + "value-sha256", hashlib.sha256(value).hexdigest().encode()),
    )
    return replace(letter, value=b"", headers=letter.headers + told)


def _without_record(letter: OutRecord) -> OutRecord:
    """Keep nothing but why it is a dead letter and where its record is."""
    headers = (*_why(letter), (_REPLACED, b"key,headers"))
    return replace(letter, key=None, value=b"", headers=headers, timestamp=None)


def _why(letter: OutRecord) -> Headers:
    """Give the headers that say why; the record may have been a dead letter itself before."""
    names = [name for name, _ in letter.headers]
    return letter.headers[len(names) - 1 - names[::-1].index(_PREFIX + "stage") :]
