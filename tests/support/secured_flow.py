"""A daemon on a broker that asks who comes in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import yaml

from streamer.config import Settings
from streamer.config.settings import HttpSettings, KafkaSettings, ModelSettings
from streamer.pipeline.daemon import Daemon
from support.secured import Right
from support.topics import Topics
from support.waiting import eventually


class Flow:
    """A topology over three fresh topics, and the rights that it needs."""

    def __init__(
        self,
        topics: Topics,
        folder: Path,
        models: Path,
        delivery: str = "exactly-once",
        model: str = "mood",
    ) -> None:
        self._daemon: Daemon
        self._ended: list[BaseException] = []
        self.name = f"flow-{uuid4().hex[:8]}"
        self.source, self.sink, self.letters = (topics.make() for _ in range(3))
        self.models = models
        self.file = folder / f"{self.name}.yaml"
        content = {
            "name": self.name,
            "delivery": delivery,
            "source": {"topics": [self.source], "format": "text"},
            "model": model,
            "sink": {"topic": self.sink},
            "deadletter": {"topic": self.letters},
        }
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.rights = [
            Right("TOPIC", self.source, "Read"),
            Right("TOPIC", self.sink, "Write"),
            Right("TOPIC", self.letters, "Write"),
            Right("GROUP", self.name, "Read"),
        ]
        if delivery == "exactly-once":
            self.rights.append(Right("TRANSACTIONAL_ID", f"me-{self.name}*", "Write"))

    @property
    def url(self) -> str:
        """Where the running daemon answers."""
        return eventually(lambda: self._daemon.endpoints.url, "the daemon listens")

    def alive(self) -> None:
        """Raise what has ended the daemon, if something has."""
        if self._ended:
            raise self._ended[0]

    @contextmanager
    def running(self, kafka: KafkaSettings, **sections: Any) -> Iterator[list[BaseException]]:
        """Run the daemon in a thread; gives the list of what ended it."""
        sections = {"http": HttpSettings(enabled=False), **sections}
        settings = Settings(
            instance="me", kafka=kafka, models=ModelSettings(dir=self.models), **sections
        )
        daemon = self._daemon = Daemon([self.file], settings)
        ended: list[BaseException] = []
        self._ended = ended

        def run() -> None:
            try:
                daemon.run()
            except BaseException as error:  # noqa: BLE001 - the test asks for it
                ended.append(error)

        thread = Thread(target=run)
        thread.start()
        yield ended
        daemon.stop()
        thread.join(60)
        assert not thread.is_alive()
