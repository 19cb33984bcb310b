"""The latest results, as they come out of Kafka: some of the predictions, all dead letters."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

import structlog

from streamer.broker import Originals, Reader
from streamer.errors import BrokerError, DecodeError, StreamerError
from streamer.operate.drawing import drawn
from streamer.operate.lines import error_in, prediction_in, written
from streamer.operate.originals import picture_of
from streamer.records import Record, TopicPartition

_KEPT = 24
_EVERY_S = 0.8
_AT_ONCE = 5.0
_PICTURE_SIDE = 480
_VALUE_CHARS = 300
_POLL_S = 0.2
_AGAIN_S = 2.0
_GRACE_S = 1.0  # a client that looks for its brokers cannot be interrupted
_LOOK_AGAIN_S = 10.0
_FEW = 2
_FAR_BEHIND = 2000


class Results:
    """Follows output topics and keeps the last results of each kind.

    Args:
        open_reader: makes a reader; two are used, one follows, one finds originals.
        plain: gives a record's content as JSON, whatever its topic's format.
    """

    def __init__(
        self, open_reader: Callable[[], Reader], plain: Callable[[Record], Record]
    ) -> None:
        self._open = open_reader
        self._plain = plain
        self._lock = Lock()
        self._numbers = count(1)
        self._drawn: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._images: dict[int, bytes] = {}
        self._texts: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._letters: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._wanted: dict[str, bool] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._allowances: dict[str, tuple[float, float]] = {}
        self._troubles: dict[str, str] = {}
        self._ended = Event()
        self._log = structlog.get_logger("page")
        self._thread = Thread(target=self._run, name="results", daemon=True)

    def start(self) -> None:
        """Start following."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._ended.set()
        self._thread.join(timeout=_GRACE_S)

    def follow(self, outputs: Iterable[str], letters: Iterable[str]) -> None:
        """Follow these topics from now on: of predictions, and of dead letters."""
        wanted = {**dict.fromkeys(outputs, False), **dict.fromkeys(letters, True)}
        with self._lock:
            self._wanted = {**self._wanted, **wanted}

    @property
    def letter_topics(self) -> set[str]:
        """The topics of dead letters that are followed."""
        with self._lock:
            return {topic for topic, letters in self._wanted.items() if letters}

    def state(self) -> dict[str, Any]:
        """Give what is kept, newest first."""
        with self._lock:
            return {
                "pictures": list(reversed(self._drawn)),
                "texts": list(reversed(self._texts)),
                "letters": list(reversed(self._letters)),
                "results_error": "; ".join(self._troubles.values()) or None,
            }

    def image(self, number: int) -> bytes | None:
        """Give a drawn picture as JPEG."""
        with self._lock:
            return self._images.get(number)

    def _run(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                idle = not self._wanted
            if idle:
                self._ended.wait(_POLL_S)
                continue
            try:
                with self._open() as reader, self._open() as finder:
                    self._follow(reader, Originals(finder))
            except StreamerError as error:
                self._log.warning("the page cannot read results, trying again", error=str(error))
                self._note("", error)
                self._ended.wait(_AGAIN_S)

    def _follow(self, reader: Reader, originals: Originals) -> None:
        wanted: dict[str, bool] = {}
        looked = 0.0
        while not self._ended.is_set():
            with self._lock:
                now = dict(self._wanted)
            if now != wanted or monotonic() - looked > _LOOK_AGAIN_S:
                self._assign(reader, now)
                wanted, looked = now, monotonic()
            for record in reader.poll(_POLL_S):
                at = TopicPartition(record.topic, record.partition)
                self._positions[at] = record.offset + 1
                self._take(record, originals)
            self._note("", None)

    def _assign(self, reader: Reader, wanted: Mapping[str, bool]) -> None:
        """Go on where we were; topics that are new begin with their last few records.

        Who is far behind goes on at the end: predictions are samples here, not an account.
        """
        partitions: list[TopicPartition] = []
        for topic in wanted:
            try:
                partitions += reader.partitions(topic)
                self._note(topic, None)
            except BrokerError as error:
                self._note(topic, error)
        ends = reader.ends(partitions)
        reader.assign(partitions)
        for at in partitions:
            known, behind = self._positions.get(at), _KEPT if wanted[at.topic] else _FEW
            if known is None or ends[at] - known > _FAR_BEHIND:
                known = max(ends[at] - behind, 0)
            reader.seek(at, known)

    def _take(self, record: Record, originals: Originals) -> None:
        told = error_in(record)
        if told:
            self._keep(self._letters, _letter(record, told))
            return
        prediction = prediction_in(self._plain(record))
        if prediction is None or not self._may_show(record.topic):
            return
        source = prediction["source"]
        try:
            original = originals.find(source)
            self._note(source["topic"], None)
        except BrokerError as error:
            self._note(source["topic"], error)
            return
        if original is None:
            return
        original = self._plain(original)
        try:
            picture = _picture(original, prediction)
        except (DecodeError, KeyError, TypeError, ValueError, OverflowError):  # a text; no boxes
            self._keep(self._texts, _text(record, prediction, original))
            return
        entry = {"number": next(self._numbers), **_place(record, prediction)}
        entry["said"] = _said(prediction, best=True)
        with self._lock:
            if len(self._images) == 2 * _KEPT:  # pages may yet ask for those of their last look
                del self._images[next(iter(self._images))]
            self._images[entry["number"]] = picture
            self._drawn.append(entry)

    def _may_show(self, topic: str) -> bool:
        """Looking at every result would cost more than making it: some of each topic are shown."""
        now = monotonic()
        left, at = self._allowances.get(topic, (_AT_ONCE, now))
        left = min(left + (now - at) / _EVERY_S, _AT_ONCE)
        self._allowances[topic] = (max(left - 1, 0) if left >= 1 else left, now)
        return left >= 1

    def _note(self, topic: str, error: StreamerError | None) -> None:
        """Say of a topic, or of the connection, what keeps its records from being shown."""
        with self._lock:
            self._troubles.pop(topic, None)
            if error is not None:
                self._troubles[topic] = str(error)

    def _keep(self, where: deque[dict[str, Any]], entry: dict[str, Any]) -> None:
        with self._lock:
            where.append({"number": next(self._numbers), **entry})


def _picture(original: Record, prediction: Mapping[str, Any]) -> bytes:
    """Draw the answer into the picture that it speaks of."""
    outputs = {
        step: [_best(entry) for entry in told["output"]]
        for step, told in prediction["predictions"].items()
        if isinstance(told.get("output"), list)
    }
    picture = drawn(picture_of(original).pixels, outputs)
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    encoded = BytesIO()
    picture.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _best(entry: Any) -> Any:
    """Keep the first label of a crop: a small picture has no room for more."""
    inner = entry.get("output") if isinstance(entry, Mapping) else None
    return {**entry, "output": inner[:1]} if isinstance(inner, list) else entry


def _place(record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
    source = prediction["source"]
    versions = {
        step: f"{told.get('model', '')} {told.get('version', '')}".strip()
        for step, told in prediction["predictions"].items()
    }
    return {
        "at": record.timestamp / 1000,
        "topology": str(prediction.get("topology", "")),
        "source": f"{source['topic']}/{source['partition']}/{source['offset']}",
        "key": (record.key or b"").decode("utf-8", "replace")[:_VALUE_CHARS],
        "models": versions,
    }


def _said(prediction: Mapping[str, Any], *, best: bool = False) -> str:
    """Write an answer in a few words; of crops the first label alone, if `best`."""
    outputs = [answer.get("output") for answer in prediction["predictions"].values()]
    if best:
        outputs = [
            [_best(entry) for entry in output] if isinstance(output, list) else output
            for output in outputs
        ]
    return "; ".join(written(output) for output in outputs)


def _text(record: Record, prediction: Mapping[str, Any], original: Record) -> dict[str, Any]:
    value = (original.value or b"").decode("utf-8", "replace")[:_VALUE_CHARS]
    return {**_place(record, prediction), "value": value, "said": _said(prediction)}


def _letter(record: Record, told: Mapping[str, str]) -> dict[str, Any]:
    return {
        "at": record.timestamp / 1000,
        "topology": told.get("topology", ""),
        "source": "/".join(told.get(part, "") for part in ("topic", "partition", "offset")),
        "place": f"{record.topic}/{record.partition}/{record.offset}",
        "topic": record.topic,
        **{name: told.get(name, "") for name in ("stage", "step", "reason")},
        "message": told.get("message", "")[:_VALUE_CHARS],
    }
