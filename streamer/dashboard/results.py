"""The latest results, as they come out of Kafka."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any

import structlog

from streamer.broker import Originals, Reader
from streamer.errors import StreamerError
from streamer.operate.drawing import drawn
from streamer.operate.originals import picture_of
from streamer.records import Record

_KEPT = 24
_PICTURE_EVERY_S = 0.4
_PICTURE_SIDE = 480
_VALUE_CHARS = 300


class Results:
    """Follows output topics and keeps the last results of each kind.

    Args:
        open_reader: makes a reader; two are used, one follows, one finds originals.
        topics: the output topics.
        pictures: those of them whose inputs are pictures, to be drawn with their boxes.
    """

    def __init__(
        self, open_reader: Callable[[], Reader], topics: Sequence[str], pictures: Sequence[str]
    ) -> None:
        self._open = open_reader
        self._topics = list(topics)
        self._pictures = set(pictures)
        self._lock = Lock()
        self._numbers = count()
        self._drawn: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._images: dict[int, bytes] = {}
        self._texts: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._letters: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._drawn_at = 0.0
        self._ended = Event()
        self._log = structlog.get_logger("page")
        self._thread = Thread(target=self._follow, name="page", daemon=True)

    def start(self) -> None:
        """Start following from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._ended.set()
        self._thread.join(timeout=5)

    def state(self) -> dict[str, Any]:
        """Give what is kept, newest first."""
        with self._lock:
            return {
                "pictures": list(reversed(self._drawn)),
                "texts": list(reversed(self._texts)),
                "letters": list(reversed(self._letters)),
            }

    def image(self, number: int) -> bytes | None:
        """Give a drawn picture as JPEG."""
        with self._lock:
            return self._images.get(number)

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with self._open() as reader, self._open() as finder:
                    originals = Originals(finder)
                    reader.assign(
                        [p for t in self._topics for p in reader.partitions(t)], at_end=True
                    )
                    while not self._ended.is_set():
                        for record in reader.poll(0.2):
                            self._take(record, originals)
            except StreamerError as error:
                self._log.warning("the page cannot read results, trying again", error=str(error))
                self._ended.wait(2.0)

    def _take(self, record: Record, originals: Originals) -> None:
        headers = {
            name: (value or b"").decode("utf-8", "replace") for name, value in record.headers
        }
        if "streamer.error.reason" in headers:
            self._keep(self._letters, _letter(record, headers))
            return
        if record.value is None:
            return
        prediction = json.loads(record.value)
        if record.topic not in self._pictures:
            original = originals.find(prediction["source"]) if self._may_draw() else None
            if original is not None:
                self._keep(self._texts, _text(record, prediction, original))
        elif self._may_draw():
            self._draw(record, prediction, originals)

    def _may_draw(self) -> bool:
        """Looking at every result would cost more than making it: some are shown."""
        now = monotonic()
        if now - self._drawn_at < _PICTURE_EVERY_S / 2:
            return False
        self._drawn_at = now
        return True

    def _draw(self, record: Record, prediction: dict[str, Any], originals: Originals) -> None:
        original = originals.find(prediction["source"])
        if original is None:
            return
        outputs = {
            step: [_best(entry) for entry in told["output"]]
            for step, told in prediction["predictions"].items()
            if isinstance(told["output"], list)
        }
        picture = drawn(picture_of(original).pixels, outputs)
        picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        encoded = BytesIO()
        picture.save(encoded, "JPEG", quality=85)
        number = next(self._numbers)
        with self._lock:
            if len(self._drawn) == _KEPT:
                self._images.pop(self._drawn[0]["number"], None)
            self._images[number] = encoded.getvalue()
            self._drawn.append({"number": number, **_place(record, prediction)})

    def _keep(self, where: deque[dict[str, Any]], entry: dict[str, Any]) -> None:
        with self._lock:
            where.append(entry)


def _best(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep the first label of a crop: a small picture has no room for more."""
    inner = entry.get("output")
    return {**entry, "output": inner[:1]} if isinstance(inner, list) else entry


def _place(record: Record, prediction: dict[str, Any]) -> dict[str, Any]:
    source = prediction["source"]
    return {
        "at": time(),
        "topology": prediction["topology"],
        "source": f"{source['topic']}/{source['partition']}/{source['offset']}",
        "key": (record.key or b"").decode("utf-8", "replace"),
    }


def _text(record: Record, prediction: dict[str, Any], original: Record) -> dict[str, Any]:
    told = [_said(answer["output"]) for answer in prediction["predictions"].values()]
    value = (original.value or b"").decode("utf-8", "replace")[:_VALUE_CHARS]
    return {**_place(record, prediction), "value": value, "said": "; ".join(told)}


def _said(output: Any) -> str:
    if isinstance(output, dict) and "score" in output:
        return f"{output['score']:.3f}"
    if isinstance(output, list):
        return ", ".join(f"{one.get('label', '')} {one.get('score', 0):.2f}" for one in output[:3])
    return json.dumps(output)[:_VALUE_CHARS]


def _letter(record: Record, headers: dict[str, str]) -> dict[str, Any]:
    told = {
        name: headers.get(f"streamer.error.{name}", "") for name in ("stage", "reason", "message")
    }
    source = "/".join(
        headers.get(f"streamer.error.{n}", "") for n in ("topic", "partition", "offset")
    )
    topology = headers.get("streamer.error.topology", "")
    return {"at": time(), "topology": topology, "source": source, "topic": record.topic, **told}
