"""What files hold, as records to be sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import ConfigError
from streamer.operate.entries import Entry, entries
from streamer.records import Headers, OutRecord, TopicPartition

_PLACE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Sending:
    """What is to be sent, and how.

    Attributes:
        key: a text with `{name}`, `{number}` or `{field}` in it; None for records without key.
        headers: `NAME=VALUE` each.
        rate: records a second at the most.
        repeat: how often all of it is sent.
        create: whether a topic that is not there is created.
    """

    topic: str
    files: tuple[Path, ...]
    key: str | None = None
    headers: tuple[str, ...] = ()
    rate: float | None = None
    repeat: int = 1
    create: bool = False


def outgoing(sending: Sending, files: list[Path]) -> Iterator[tuple[OutRecord, Entry]]:
    """Make the records.

    Raises:
        ConfigError: a header is no NAME=VALUE; while iterating, that a key names a field that a
            record has not.
    """
    headers = tuple(_header(text) for text in sending.headers)
    return _outgoing(sending, files, headers)


def _outgoing(
    sending: Sending, files: list[Path], headers: Headers
) -> Iterator[tuple[OutRecord, Entry]]:
    typed = any(name.lower() == "content-type" for name, _ in headers)
    number = 0
    for _ in range(sending.repeat):
        for entry in entries(files):
            kind: Headers = () if typed else (("content-type", entry.content_type.encode()),)
            yield (
                OutRecord(
                    topic=sending.topic,
                    key=_key(sending.key, entry, number),
                    value=entry.value,
                    headers=headers + kind,
                    timestamp=None,
                    source=TopicPartition(sending.topic, number),
                ),
                entry,
            )
            number += 1


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--header: expected NAME=VALUE; got '{text}'")
    return name, value.encode()


def _key(template: str | None, entry: Entry, number: int) -> bytes | None:
    if template is None:
        return None
    names = _PLACE.findall(template)
    known = {"name": entry.name, "number": number}
    if set(names) - set(known):
        known = {**known, **entry.fields()}
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(
            f"{entry.origin}: has no field '{missing[0]}' for --key '{template}'; "
            f"there are {', '.join(known)}"
        )
    return _PLACE.sub(lambda match: str(known[match[1]]), template).encode()
