"""The people of the demo: asked what a message is about, they read it and say so."""

import json
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Self

import structlog

from streamer.broker import Originals, Producer, Reader, partition_for
from streamer.config import Settings
from streamer.errors import StreamerError
from streamer.records import OutRecord, Record, TopicPartition

_POLL_S = 0.3
_AGAIN_S = 1.0


class Clerks(Thread):
    """Answers requests for labels, in a thread of its own.

    Args:
        settings: where the brokers are.
        requests: topic of the requests.
        labels: topic of the labels.
        truth: what a message is about; None where nobody knows.
    """

    def __init__(
        self,
        settings: Settings,
        requests: str,
        labels: str,
        truth: Callable[[str], str | None],
    ) -> None:
        super().__init__(name="clerks", daemon=True)
        self._settings = settings
        self._requests = requests
        self._labels = labels
        self._truth = truth
        self._ended = Event()
        self.answered = 0
        self._log = structlog.get_logger("demo")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(10)

    def run(self) -> None:
        """Work until it is ended."""
        while not self._ended.is_set():
            try:
                with Reader(self._settings.kafka) as asked, Reader(self._settings.kafka) as texts:
                    self._work(asked, Originals(texts))
            except StreamerError as error:
                self._log.warning("the demo's people cannot work just now", error=str(error))
                self._ended.wait(_AGAIN_S)

    def _work(self, asked: Reader, texts: Originals) -> None:
        asked.assign(asked.partitions(self._requests), at_end=True)
        producer = Producer(self._settings.kafka)
        try:
            count = producer.partitions(self._labels)
            while not self._ended.is_set():
                for request in asked.poll(_POLL_S):
                    label = self._answered(request, texts)
                    if label is not None:
                        producer.append(label, partition_for(label, count, "key"))
                        self.answered += 1
                producer.flush()
        finally:
            producer.close()

    def _answered(self, request: Record, texts: Originals) -> OutRecord | None:
        """Read the message that a request speaks of, and write the label."""
        told: dict[str, Any] = json.loads(request.value or b"{}")
        message = texts.find(told["ref"])
        if message is None or message.value is None:
            return None
        label = self._truth(message.value.decode("utf-8", "replace"))
        if label is None:
            return None
        value = json.dumps({**told, "label": label}).encode()
        source = TopicPartition(request.topic, request.partition)
        return OutRecord(self._labels, request.key, value, (), None, source)
