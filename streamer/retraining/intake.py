"""What comes in: predictions, to be joined with labels; labels, to become the labelled set."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import structlog

from streamer.broker import Originals, Reader
from streamer.config import Settings, Topology
from streamer.encode.letter import dead_letter
from streamer.errors import BrokerError, RecordError
from streamer.labels import (
    Answer,
    LiveAccuracy,
    Place,
    Requests,
    Withdrawal,
    is_random,
    place_of,
    read_label,
    request_value,
)
from streamer.labels.requests import draw
from streamer.records import OutRecord, Record, Rejection, TopicPartition, parent_ids
from streamer.retraining.answers import best_of, outputs_of
from streamer.retraining.asking import Asked
from streamer.retraining.capture import Captured
from streamer.retraining.config import RetrainFile
from streamer.retraining.examples import Row
from streamer.retraining.finding import Finder, MissingError
from streamer.retraining.labelled import LabelledSet
from streamer.retraining.place import Place as Folder
from streamer.retraining.store import Store
from streamer.retraining.topics import Outlet, Topic
from streamer.retraining.truth import check_answer

_GATHER_S = 1.0
_MOST_GATHERED = 1000
ANSWER_OF = {
    "image-classification": "label",
    "text-classification": "label",
    "sentence-similarity": "score",
    "object-detection": "boxes",
    "token-classification": "entities",
}
"""By task, what its labels have."""


class Intake:
    """Follows the predictions and the labels of one step.

    Args:
        settings: where the brokers are.
        file: the sidecar's file.
        topology: what answers, from which topics.
        step: whose answers are labelled.
        only_step: whether the topology has no other.
        kind: `label`, `score`, … that labels of the task have.
        finder: finds the examples of labels; made with this intake's `original` and `answer`.
        folder: where the set is kept.
    """

    def __init__(  # noqa: PLR0913 - the parts of one connection
        self,
        settings: Settings,
        file: RetrainFile,
        topology: Topology,
        step: str,
        *,
        only_step: bool,
        task: str,
        store: Store,
        labelled: LabelledSet,
        live: LiveAccuracy,
        finder: Callable[[Callable[..., Record | None]], Finder],
        captured: Captured | None = None,
        folder: Folder,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._sources = frozenset(topology.source.topics)
        self._step = step
        self._only = step if only_step else None
        self._kind = ANSWER_OF[task]
        self._store = store
        self._set = labelled
        self._live = live
        self._clock = clock
        self._log = structlog.get_logger("labels")
        self._requests = file.label_requests
        self._chooser = (
            Requests(self._requests.random, self._requests.uncertain) if self._requests else None
        )
        since = clock() * 1000 - live.window_ms
        self._predictions = Topic(settings, topology.sink.topic, since=since)
        self._labels = Topic(settings, file.labels.topic, positions=store.positions)
        self._reader = Reader(settings.kafka)
        self._originals = Originals(self._reader)
        self._finder = finder(self._original)
        self._captured = captured
        self._outlet = Outlet(settings)
        self._asked = Asked(folder, self._predictions.ends()) if self._requests else None
        self._wanted: tuple[dict[int, int], dict[int, int]] | None = None
        for row in labelled.living():
            self._join(row)

    def answers(self) -> int:
        """Take note of the predictions that have come, and ask people about some."""
        count = 0
        requests = []
        for record in self._predictions.poll():
            for place, answer, timestamp in self._read(record):
                count += 1
                self._live.answered(place, answer)
                self._capture(place)
                if self._chooser is None or self._requests is None or self._asked is None:
                    continue
                asked = self._chooser.asked(place, answer.score)
                if asked is None:
                    continue
                self._capture(place, asked=True)
                if self._asked.is_new(record):
                    value = request_value(place, timestamp, *asked, answer.label)
                    source = TopicPartition(record.topic, record.partition)
                    key = str(place).encode()
                    requests.append(OutRecord(self._requests.topic, key, value, (), None, source))
        self._outlet.send(requests)
        if self._asked is not None:
            self._asked.done(self._predictions.positions())
        if self._captured is not None:
            self._captured.tidy()
        self._set.counts["requested"] += len(requests)
        return count

    def labels(self) -> list[Row]:
        """Take the labels that have come into the set; they are on the disk when this ends.

        Returns:
            What was withdrawn.

        Raises:
            BrokerError: Kafka does not answer; nothing of the turn was written.
        """
        records = self._labels.gather(_GATHER_S, _MOST_GATHERED)
        if not records:
            return []
        sequence = self._store.sequence + 1
        rows: list[Row] = []
        letters: list[OutRecord] = []
        withdrawn: list[Row] = []
        for record in sorted(records, key=_original_order):
            try:
                row = self._taken(record, sequence)
            except RecordError as error:
                letters.append(self._letter(record, error))
                self._set.counts["malformed"] += 1
                continue
            if row is not None:
                rows.append(row)
                if row.withdrawn:
                    withdrawn.append(row)
        self._outlet.send(letters)
        self._set.counts["read"] += len(records)
        self._store.append(rows, self._labels.positions(), dict(self._set.counts))
        return withdrawn

    def caught_up(self) -> bool:
        """Whether all that was there when this was asked first has been read.

        What came since doesn't count: with labels that come all the time there would be no end.
        """
        if self._wanted is None:
            self._wanted = self._predictions.ends(), self._labels.ends()
        predictions, labels = self._wanted
        done = self._predictions.has_read(predictions) and self._labels.has_read(labels)
        if done:
            self._wanted = None
        return done

    def close(self) -> None:
        """Close the connections."""
        if self._asked is not None:
            self._asked.flush()
        self._predictions.close()
        self._labels.close()
        self._reader.close()
        self._outlet.close()
        if self._captured is not None:
            self._captured.flush()

    def _taken(self, record: Record, sequence: int) -> Row | None:
        """Take one label in.

        Raises:
            RecordError: it is none.
        """
        label = read_label(record, self._only)
        if isinstance(label, Withdrawal):
            before = self._set.row(label.name)
            gone = self._set.withdraw(label, sequence)
            if gone is not None and before is not None:
                self._unjoin(before)
            return gone
        if label.place is not None and label.place.step != self._step:
            self._set.counts["other_step"] += 1
            return None
        if label.kind != self._kind:
            message = f"labels of this task have '{self._kind}', this one has '{label.kind}'"
            raise RecordError(message, reason="wrong-kind")
        try:
            check_answer(label.kind, label.answer)
        except ValueError as error:
            raise RecordError(str(error), reason="wrong-answer") from error
        try:
            found = self._finder.find(label)
        except MissingError as error:
            self._set.counts[error.reason.replace("-", "_")] += 1
            return None
        row = self._set.take(label, found, sequence)
        if row is not None:
            self._join(row)
        return row

    def _join(self, row: Row) -> None:
        place = _place_of(row)
        if place is not None:
            self._live.labelled(place, row.answer, random=row.reason == "random")

    def _unjoin(self, row: Row) -> None:
        place = _place_of(row)
        if place is not None:
            self._live.withdrawn(place)

    def _original(self, source: Any) -> Record | None:
        """Read an input record, or its copy; None too where its partition does not exist."""
        found = self._in_topic(source)
        if found is None and self._captured is not None:
            found = self._captured.find(source)
        return found

    def _capture(self, place: Place, *, asked: bool = False) -> None:
        """Keep a copy of an answered record, if its lot or a request says so."""
        kept, spot = self._captured, (place.topic, place.partition, place.offset)
        if kept is None or spot in kept or not (asked or draw(place) < kept.config.share):
            return
        source = dict(zip(("topic", "partition", "offset"), spot, strict=True))
        record = self._in_topic(source)
        if record is not None:
            kept.keep(record)

    def _in_topic(self, source: Any) -> Record | None:
        at = TopicPartition(source["topic"], source["partition"])
        try:
            if at not in self._reader.partitions(at.topic):
                return None
        except BrokerError as error:
            if error.retriable or at.topic in self._sources:  # that one must be there, and ours
                raise
            return None
        return self._originals.find(source)

    def _read(self, record: Record) -> Iterator[tuple[Place, Answer, int | None]]:
        """Read the answers of the step from a prediction; a record that is none has none."""
        try:
            content = msgspec.json.decode(record.value or b"")
            source = content["source"]
            given = content["predictions"][self._step]
            place = Place(source["topic"], source["partition"], source["offset"], self._step)
            timestamp = source.get("timestamp")
        except (msgspec.DecodeError, KeyError, TypeError):
            return
        at = timestamp if timestamp is not None else record.timestamp
        share = self._requests.random if self._requests is not None else 1.0
        for item, output, box in outputs_of(given["output"]):
            label, score = best_of(output)
            yield (
                place._replace(item=item),
                Answer(
                    model=self._file.name,
                    version=given["version"],
                    label=label,
                    score=score,
                    at=at,
                    random=is_random(place, share),
                    box=box,
                    given=b"" if self._kind == "label" else msgspec.json.encode(output),
                ),
                timestamp,
            )

    def _letter(self, record: Record, error: RecordError) -> OutRecord:
        self._log.debug(
            "no label",
            reason=error.reason,
            error=str(error),
            offset=record.offset,
            **parent_ids(record.headers),
        )
        kind = type(error).__name__
        rejection = Rejection("decode", None, error.reason, kind, str(error))
        topic = self._file.deadletter_topic
        return dead_letter(topic, f"retrain-{self._file.name}", record, rejection)


def _original_order(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


def _place_of(row: Row) -> Place | None:
    """Give the answer that a row's label is of; None where the example stood beside the label."""
    return place_of(row.name) if row.step is not None else None
