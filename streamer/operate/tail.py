"""A topic's records as they come."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rich.console import Console

from streamer.broker import Originals, Reader, wait_for_brokers
from streamer.config import Settings
from streamer.config.units import parse_duration
from streamer.errors import BrokerError, ConfigError, DecodeError
from streamer.operate.drawing import drawn
from streamer.operate.lines import as_object, prediction_in, readable
from streamer.operate.opening import Opener
from streamer.operate.originals import picture_of
from streamer.records import Record

_POLL_S = 0.25
_BROKER_PATIENCE_S = 10.0
_QUALITY = 90


@dataclass(frozen=True)
class Tailing:
    """What is to be shown.

    Attributes:
        draw: folder for pictures with what was found drawn in.
        limit: records at the most.
        timeout: a duration such as `10s`; the end when nothing came for so long.
    """

    topic: str
    as_json: bool = False
    draw: Path | None = None
    from_beginning: bool = False
    limit: int | None = None
    timeout: str | None = None


def tail_topic(tailing: Tailing, settings: Settings) -> int:
    """Show a topic's records until interrupted, or as long as was asked for.

    Raises:
        ConfigError: the timeout is no duration, or the folder cannot be made.
        BrokerError: Kafka cannot be reached, or has no such topic.
    """
    patience = _patience(tailing.timeout)
    console = Console(soft_wrap=True, highlight=False)
    with ExitStack() as open_things:
        if tailing.draw is not None:
            _make_folder(tailing.draw)
        wait_for_brokers(settings.kafka, give_up_after=_BROKER_PATIENCE_S)
        reader = open_things.enter_context(Reader(settings.kafka))
        reader.assign(reader.partitions(tailing.topic), at_end=not tailing.from_beginning)
        opener = Opener(settings)
        drawer: Drawer | None = None
        if tailing.draw is not None:
            originals = Originals(open_things.enter_context(Reader(settings.kafka)))
            drawer = Drawer(tailing.draw, originals, opener.plain)
        try:
            for record in map(opener.plain, coming(reader, tailing.limit, patience)):
                _show(record, console, as_json=tailing.as_json)
                if drawer is not None:
                    _say(drawer.draw(record), Console(stderr=True, highlight=False))
        except KeyboardInterrupt:
            return 0
    return 0


def coming(
    reader: Reader,
    limit: int | None,
    patience: float | None,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Record]:
    """Yield records as they come, those polled at once in the order of their timestamps."""
    shown, last = 0, clock()
    while patience is None or clock() - last < patience:
        for record in sorted(reader.poll(_POLL_S), key=lambda record: record.timestamp):
            if shown == limit:
                return
            yield record
            shown, last = shown + 1, clock()
        if shown == limit:
            return


class Drawer:
    """Writes the pictures of predictions into a folder.

    Args:
        folder: where to.
        originals: finds the records that predictions speak of.
        plain: gives a record's content as JSON, whatever its topic's format.
    """

    def __init__(
        self, folder: Path, originals: Originals, plain: Callable[[Record], Record]
    ) -> None:
        self._folder = folder
        self._originals = originals
        self._plain = plain

    def draw(self, record: Record) -> str | None:
        """Write a prediction's picture; say why if there is none."""
        prediction = prediction_in(record)
        if prediction is None:
            return None
        source = prediction["source"]
        place = f"{source['topic']} {source['partition']}/{source['offset']}"
        try:
            original = self._originals.find(source)
            if original is None:
                return f"{place}: is not there any more"
            picture = picture_of(self._plain(original))
        except (BrokerError, DecodeError) as error:
            return f"{place}: {error}"
        outputs = {step: answer.get("output") for step, answer in prediction["predictions"].items()}
        name = f"{source['topic']}-{source['partition']}-{source['offset']}.jpg"
        try:
            drawn(picture.pixels, outputs).save(self._folder / name, quality=_QUALITY)
        except (KeyError, TypeError, ValueError, OverflowError):
            return f"{place}: its boxes are none"
        except OSError as error:
            return f"{self._folder / name}: {error.strerror or error}"
        return None


def _show(record: Record, console: Console, *, as_json: bool) -> None:
    if as_json:
        console.out(json.dumps(as_object(record), ensure_ascii=False), highlight=False)
    else:
        console.print(readable(record))


def _say(trouble: str | None, console: Console) -> None:
    if trouble is not None:
        console.print(f"not drawn: {trouble}", style="yellow", markup=False)


def _patience(timeout: str | None) -> float | None:
    try:
        return None if timeout is None else parse_duration(timeout)
    except ValueError as error:
        raise ConfigError(f"--timeout: {error}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--draw: {folder}: {error.strerror}") from error
