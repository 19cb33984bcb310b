"""How often each version is right about messages that it can't have learnt from."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from streamer.records import Record

_MARK = "demo"


class Scores:
    """Compares answers with what the demo knows of its own messages.

    A message that was sent before may have been learnt from: only the first of each text counts.
    """

    def __init__(self) -> None:
        self._truths: dict[str, str] = {}
        self._waiting: dict[int, str] = {}
        self.answered: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def sent(self, number: int, text: str, label: str) -> None:
        """Take note of a message that is sent, and of what it is about."""
        if text not in self._truths:
            self._waiting[number] = label
        self._truths[text] = label

    def truth(self, text: str) -> str | None:
        """Give what a message is about, as a person who reads it would."""
        return self._truths.get(text)

    def note(self, record: Record) -> None:
        """Take note of a prediction."""
        marks = [value for name, value in record.headers if name == _MARK and value]
        label = self._waiting.pop(int(marks[-1]), None) if marks else None
        if label is None:
            return
        for step in _steps(record).values():
            version = str(step["version"])
            self.answered[version] += 1
            self.right[version] += step["output"][0]["label"] == label

    def accuracy(self, version: str) -> float | None:
        """Give the share of right answers; None before the first."""
        return self.right[version] / self.answered[version] if self.answered[version] else None


def _steps(record: Record) -> Mapping[str, Any]:
    """Read the answers of a prediction; a dead letter has none."""
    if any(name == "streamer.error.reason" for name, _ in record.headers):
        return {}
    read: dict[str, Any] = msgspec.json.decode(record.value or b"{}")
    found: Mapping[str, Any] = read.get("predictions", {})
    return found
