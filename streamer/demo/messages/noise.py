"""Makes a clean phrase look typed: short forms, lost apostrophes, typos, casing, punctuation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_SHORT_FORMS = {
    "you": "u",
    "your": "ur",
    "are": "r",
    "please": "pls",
    "thanks": "thx",
    "because": "cuz",
    "tomorrow": "tmrw",
    "today": "2day",
    "with": "w/",
    "before": "b4",
    "number": "nr",
    "account": "acc",
    "address": "addr",
    "password": "pw",
    "delivery": "deliv",
    "package": "pkg",
    "and": "&",
    "going to": "gonna",
    "want to": "wanna",
}
_DROPPED = frozenset([
    "a", "an", "the", "i", "my", "is", "are", "was", "has", "have", "be", "to", "of",
    "for", "on", "it", "do", "does", "did",
])  # fmt: skip
_NEIGHBOURS = {
    "a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o",
    "j": "k", "k": "l", "l": "k", "m": "n", "n": "m", "o": "p", "p": "o", "q": "w", "r": "t",
    "s": "d", "t": "y", "u": "i", "v": "b", "w": "e", "x": "c", "y": "u", "z": "x",
}  # fmt: skip
_SHORTEST_TYPO = 4


def happens(share: float, random: Random) -> bool:
    """Decide with this probability."""
    return random.random() < share


def typed(text: str, random: Random) -> str:
    """Change `text` the way people type: most messages a little, some a lot."""
    if happens(0.12, random):
        text = _shortened(text, random)
    if happens(0.06, random):
        text = _keywords_only(text, random)
    if happens(0.25, random):
        text = text.replace("'", random.choice(["", "\u2019", " "]))
    if happens(0.2, random):
        for _ in range(random.choice([1, 1, 2, 3])):
            text = _misspelt(text, random)
    if happens(0.3, random):
        text = re.sub(r"[,.?!:]+", lambda _: random.choice(["", "", " "]), text)
    return _cased(text, random).strip()


def _shortened(text: str, random: Random) -> str:
    for long, short in _SHORT_FORMS.items():
        if happens(0.6, random):
            text = re.sub(rf"\b{long}\b", short, text)
    return text


def _keywords_only(text: str, random: Random) -> str:
    """Drop most of the small words, as in a search box."""
    kept = [word for word in text.split() if word not in _DROPPED or happens(0.2, random)]
    return " ".join(kept) or text


def _misspelt(text: str, random: Random) -> str:
    """Drop, double, swap or mistype one letter of one longer word."""
    words = text.split(" ")
    places = [at for at, word in enumerate(words) if len(word) >= _SHORTEST_TYPO and word.isalpha()]
    if not places:
        return text
    at = random.choice(places)
    word = words[at]
    cut = random.randrange(1, len(word) - 1)
    head, letter, tail = word[:cut], word[cut], word[cut + 1 :]
    words[at] = random.choice(
        [
            head + tail,
            head + letter * 2 + tail,
            head + tail[0] + letter + tail[1:],
            head + _NEIGHBOURS.get(letter, letter) + tail,
        ]
    )
    return " ".join(words)


def _cased(text: str, random: Random) -> str:
    """Write in lower case, in sentence case, or, rarely, shouting."""
    if happens(0.35, random):
        return text
    if happens(0.06, random):
        return text.upper() + random.choice(["", "!", "!!!"])
    text = re.sub(r"(^|[.?!] )([a-z])", lambda found: found[1] + found[2].upper(), text)
    return re.sub(r"\bi\b", "I", text)
