"""Entities of texts as a label for each token, as a model of token classification learns them."""

from collections.abc import Mapping, Sequence
from typing import Any

from streamer.models import Version
from streamer.preprocess import preprocessor_for
from streamer.records import ModelInput, Text
from streamer.retraining.truth import name_of

_NONE = "O"


class Tagger:
    """Gives each token the number of its label.

    Args:
        version: whose tokens they are.
        labels: of its successor, by number.
    """

    def __init__(self, version: Version, labels: Sequence[str]) -> None:
        self._preprocessor = preprocessor_for(version.manifest, version.folder)
        self._places = {label: at for at, label in enumerate(labels)}

    def tags(
        self, texts: Sequence[str], answers: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[list[int | None]]:
        """Label the tokens of each text; None for those that stand for nothing in it."""
        prepared = self._preprocessor.prepare([Text(text) for text in texts])
        return [
            self.of(parts[0], answer) if isinstance(parts, list) else []
            for parts, answer in zip(prepared, answers, strict=True)
        ]

    def of(self, given: ModelInput, answer: Sequence[Mapping[str, Any]]) -> list[int | None]:
        """Label the tokens of one text, or of a piece of it."""
        encoding = given.context.encoding
        found: list[int | None] = []
        before: Mapping[str, Any] | None = None
        for (start, end), special in zip(
            encoding.offsets, encoding.special_tokens_mask, strict=True
        ):
            if special or start == end:
                found.append(None)
                continue
            inside = next(
                (one for one in answer if start < int(one["end"]) and end > int(one["start"])), None
            )
            found.append(self._place(inside, begins=inside is not before))
            before = inside
        return found

    def _place(self, entity: Mapping[str, Any] | None, *, begins: bool) -> int:
        if entity is None:
            return self._places[_NONE]
        name = name_of(entity)
        tagged = f"{'B' if begins else 'I'}-{name}"
        return self._places.get(tagged, self._places.get(f"I-{name}", self._places.get(name, 0)))
