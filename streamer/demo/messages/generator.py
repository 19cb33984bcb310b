"""Draws support messages from the grammar: for training, and as the demo's traffic."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import TYPE_CHECKING

from streamer.demo.messages.grammar import Grammar, read_grammar
from streamer.demo.messages.noise import happens, typed

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALM = ("thanks",)
"""Labels whose messages neither complain nor ask for an answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a customer wrote, and what it is about."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences, and whether a person finds that they say nearly the same."""

    sentence1: str
    sentence2: str
    alike: bool


@cache
def grammar() -> Grammar:
    """Return the grammar of the training messages."""
    return read_grammar(_read("grammar.txt"))


def labels() -> tuple[str, ...]:
    """Return the intents in the order of their class index: alphabetical, fixed."""
    return tuple(sorted(grammar().intents))


@cache
def held_out() -> tuple[Message, ...]:
    """Return the messages written by hand that no model is trained on."""
    return tuple(Message(**json.loads(line)) for line in _read("held_out.jsonl").splitlines())


@cache
def sentence_pairs() -> tuple[SentencePair, ...]:
    """Return sentence pairs written by hand, half of them alike."""
    return tuple(SentencePair(**json.loads(line)) for line in _read("pairs.jsonl").splitlines())


def training_messages(per_label: int, seed: int) -> Iterator[Message]:
    """Generate distinct messages, the labels in turn.

    No message says, spelling and punctuation aside, what one of `held_out()` says.

    Args:
        per_label: messages for each label.
        seed: the same seed gives the same messages.
    """
    random = Random(seed)
    seen = {canonical(message.text) for message in held_out()}
    for _ in range(per_label):
        for label in labels():
            text = _composed(label, random)
            while canonical(text) in seen:
                text = _composed(label, random)
            seen.add(canonical(text))
            yield Message(text, label)


def traffic(seed: int) -> Iterator[Message]:
    """Yield messages without end, as customers might send them: generated or written by hand."""
    random = Random(seed)
    while True:
        if happens(0.5, random):
            yield random.choice(held_out())
        else:
            label = random.choice(labels())
            yield Message(_composed(label, random), label)


def canonical(text: str) -> str:
    """Return the letters and digits of a message, by which two are the same."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _composed(label: str, random: Random) -> str:
    """Put a message together: greeting, context, the point once or twice, closing; then type it."""
    source = grammar()
    parts = [source.intent(label, random)]
    if happens(0.15, random):
        parts.append(source.intent(label, random))
    if label not in _CALM:
        if happens(0.18, random):
            parts.insert(random.choice([0, len(parts)]), source.slot("context", random))
        if happens(0.25, random):
            parts.append(source.slot("closing", random))
    if happens(0.2, random):
        parts.insert(0, source.slot("opener", random))
    joined = parts[0]
    for part in parts[1:]:
        joined += (" " if joined[-1] in ",.?!:" else random.choice([". ", ". ", ", ", " "])) + part
    return typed(joined, random)


def _read(name: str) -> str:
    return files("streamer.demo.messages").joinpath(name).read_text(encoding="utf-8")
