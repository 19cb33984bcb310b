"""Reads the phrase grammar and draws phrases from it.

A phrase is text with two constructs: `(a|b|)` is one of its alternatives, possibly none, and
`{name}` is one line of the slot of that name. Both nest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

_SECTION = re.compile(r"\[(slot|intent) (\w+)\]")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Grammar:
    """Phrases by slot and by intent, as one grammar file lists them."""

    slots: Mapping[str, tuple[str, ...]]
    intents: Mapping[str, tuple[str, ...]]

    def draw(self, phrase: str, random: Random) -> str:
        """Replace every choice and slot of `phrase` by one of its possibilities."""
        while "(" in phrase or "{" in phrase:
            phrase = _INNERMOST.sub(lambda found: random.choice(found[1].split("|")), phrase)
            phrase = _SLOT.sub(lambda found: random.choice(self.slots[found[1]]), phrase)
        return _tidy(phrase)

    def slot(self, name: str, random: Random) -> str:
        """Draw one phrase of a slot."""
        return self.draw(random.choice(self.slots[name]), random)

    def intent(self, label: str, random: Random) -> str:
        """Draw one phrase that says `label`."""
        return self.draw(random.choice(self.intents[label]), random)


def read_grammar(text: str) -> Grammar:
    """Parse a grammar file.

    Args:
        text: sections `[slot NAME]` and `[intent NAME]`, one phrase a line, `;` for comments.

    Returns:
        The grammar, its sections in the file's order.

    Raises:
        ValueError: a line before the first section, an unbalanced choice or an unknown slot.
    """
    sections: dict[str, dict[str, list[str]]] = {"slot": {}, "intent": {}}
    phrases: list[str] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(";"):
            continue
        if header := _SECTION.fullmatch(line):
            phrases = sections[header[1]].setdefault(header[2], [])
        elif phrases is None:
            message = f"line {number}: a phrase before the first section: {line}"
            raise ValueError(message)
        elif line.count("(") != line.count(")"):
            message = f"line {number}: parentheses do not match: {line}"
            raise ValueError(message)
        else:
            phrases.append(line)
    grammar = Grammar(_frozen(sections["slot"]), _frozen(sections["intent"]))
    if unknown := set(_SLOT.findall(text)) - set(grammar.slots) - {"NAME"}:
        message = f"slots without a section: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    return grammar


def _frozen(section: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(phrases) for name, phrases in section.items()}


def _tidy(phrase: str) -> str:
    """Collapse the blanks that empty choices leave behind."""
    phrase = re.sub(r"\s+", " ", phrase).strip()
    return re.sub(r" ([,.?!:])", r"\1", phrase)
