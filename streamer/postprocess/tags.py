"""Token classification: labels of tokens to entities, as transformers' pipeline puts them together.

The words of the strategies, and what each does, are those of transformers'
`TokenClassificationPipeline`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest
from streamer.postprocess.arrays import Floats, as_floats, finite_rows, non_finite, rows_checked
from streamer.postprocess.classes import applied
from streamer.postprocess.tokenizer import JsonReader, reader_for
from streamer.records import ModelInput, TextPiece


@dataclass(slots=True)
class Unit:
    """A token, or a word: its scores by label, and where it stands.

    Attributes:
        scores: [labels].
        inside: whether it goes on with the word before.
    """

    text: str
    scores: Floats
    start: int
    end: int
    index: int
    inside: bool
    best: int
    score: float


class Tags:
    """Entities in the order of the text, with the characters where each begins and ends."""

    def __init__(
        self, manifest: Manifest, folder: Path | None, *, threshold: float | None = None
    ) -> None:
        read = [name for name, output in manifest.outputs.items() if output.decode != "ignore"]
        if len(read) != 1 or manifest.outputs[read[0]].decode not in ("logits", "probabilities"):
            raise ConfigError(
                f"model '{manifest.name}': token-classification needs one output with decode: "
                "logits or probabilities"
            )
        reader = reader_for(manifest, folder)
        if not isinstance(reader, JsonReader):
            raise ConfigError(
                f"model '{manifest.name}': token-classification needs a tokenizer.json"
            )
        (self._name,) = read
        self._output = manifest.outputs[self._name]
        self._function = "softmax" if self._output.decode == "logits" else "none"
        self._labels = manifest.id2label
        self._wanted = manifest.postprocess
        self._threshold = threshold if threshold is not None else self._wanted.threshold
        self._reader = reader

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give the entities of each piece of a text; see `Interpreter.interpret`."""
        values = rows_checked(as_floats(outputs[self._name], self._output), self._name, len(inputs))
        answers: list[Any | RecordError] = []
        for row, given in zip(values, inputs, strict=True):
            # What stands at padding is nobody's: not looked at, whatever it is.
            scores = row[len(row) - given.length :] if given.pads_left else row[: given.length]
            if not finite_rows(scores[None]).all():
                answers.append(non_finite(self._name))
                continue
            answers.append(self._entities(applied(self._function, scores), given.context))
        return answers

    def combine(self, parts: Sequence[Any]) -> Any:
        """Join the pieces of a long text: of two entities that overlap the longer one stays."""
        if len(parts) == 1:
            return parts[0]
        entities = sorted((one for part in parts for one in part), key=lambda one: one["start"])
        joined: list[dict[str, Any]] = []
        for entity in entities:
            if joined and entity["start"] < joined[-1]["end"]:
                if _weight(entity) > _weight(joined[-1]):
                    joined[-1] = entity
            else:
                joined.append(entity)
        return joined

    def _entities(self, scores: Floats, piece: TextPiece) -> list[dict[str, Any]]:
        units = self._units(scores, piece)
        strategy = self._wanted.aggregation_strategy
        if strategy == "none":
            found = [self._alone(unit) for unit in units]
        else:
            words = units if strategy == "simple" else self._words(units, strategy)
            found = self._grouped(words)
        ignored = self._wanted.ignore_labels
        return [
            entity
            for entity in found
            if entity.get("entity_group", entity.get("entity")) not in ignored
            and (self._threshold is None or entity["score"] >= self._threshold)
        ]

    def _units(self, scores: Floats, piece: TextPiece) -> list[Unit]:
        encoding, text = piece.encoding, piece.text
        units = []
        best = scores.argmax(axis=1)
        for index, special in enumerate(encoding.special_tokens_mask):
            if special:
                continue
            start, end = encoding.offsets[index]
            token = encoding.tokens[index]
            if self._reader.subwords:
                inside = len(token) != end - start
            else:
                inside = start > 0 and " " not in text[start - 1 : start + 1]
            if encoding.ids[index] == self._reader.unk_id:
                token, inside = text[start:end], False
            label = int(best[index])
            score = float(scores[index, label])
            units.append(Unit(token, scores[index], start, end, index, inside, label, score))
        return units

    def _words(self, units: Sequence[Unit], strategy: str) -> list[Unit]:
        """Join the tokens of each word under one label."""
        starts = [at for at, unit in enumerate(units) if at == 0 or not unit.inside]
        return [
            self._word(units[begin:end], strategy) for begin, end in pairwise([*starts, len(units)])
        ]

    def _word(self, units: Sequence[Unit], strategy: str) -> Unit:
        if strategy == "first":
            scores = units[0].scores
        elif strategy == "max":
            scores = max(units, key=lambda unit: unit.score).scores
        else:
            scores = np.mean([unit.scores for unit in units], axis=0)
        label = int(scores.argmax())
        text = self._reader.joined([unit.text for unit in units])
        first, last = units[0], units[-1]
        score = float(scores[label])
        return Unit(text, scores, first.start, last.end, first.index, False, label, score)  # noqa: FBT003

    def _grouped(self, units: Sequence[Unit]) -> list[dict[str, Any]]:
        """Join neighbours of one label; B- begins a new entity."""
        groups: list[list[Unit]] = []
        for unit in units:
            begins, label = self._tag(unit)
            if groups and not begins and self._tag(groups[-1][-1])[1] == label:
                groups[-1].append(unit)
            else:
                groups.append([unit])
        return [
            {
                "entity_group": self._label(group[0]).split("-", 1)[-1],
                "score": float(np.mean([unit.score for unit in group])),
                "word": self._reader.joined([unit.text for unit in group]),
                "start": group[0].start,
                "end": group[-1].end,
            }
            for group in groups
        ]

    def _alone(self, unit: Unit) -> dict[str, Any]:
        return {
            "entity": self._label(unit),
            "score": unit.score,
            "index": unit.index,
            "word": unit.text,
            "start": unit.start,
            "end": unit.end,
        }

    def _tag(self, unit: Unit) -> tuple[bool, str]:
        """Tell whether an entity begins here, and its label without B- and I-."""
        label = self._label(unit)
        return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label

    def _label(self, unit: Unit) -> str:
        return self._labels.get(unit.best, f"LABEL_{unit.best}")


def _weight(entity: Mapping[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
