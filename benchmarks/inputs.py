"""The records of the benchmarks: made from seeds, the same on every machine."""

import random
from collections.abc import Iterator
from functools import lru_cache

from streamer.bench.made import picture

_MEDIAN_WORDS = 22
_SPREAD = 0.75
_MOST_WORDS = 120
_SYLLABLES = (
    *("ba", "re", "to", "ni", "la", "mo", "se", "ka", "du", "vi", "po", "ran", "ter", "el"),
    *("is", "on", "ar", "th", "ing", "er", "st", "un", "gra", "ple", "tion", "ment", "al"),
)
_COMMON = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who will "
    "no more if out so up said what its about than into them can only other time new some could "
    "these two may first then do any like my now over such our man me even most made after also "
    "did many off before must well back through years where much your way down should because "
    "long each just state people those too mister how little good world make very year still see "
    "own work men day get here old life both between being under three never know same last "
    "another while us might great go come since against right came take used himself few house "
    "american use place during high without again home around small however found mrs part school "
    "thought went say general once upon war every left got always away put set head think almost"
).split()
_PIXELS = [0.1] * 7 + [0.5] * 6 + [2.0] * 4 + [6.0] * 2 + [12.0]
"""Megapixels of any twenty pictures: thumbnails are common, camera files are rare."""


def texts(count: int, seed: int = 0) -> list[bytes]:
    """Write texts of mixed lengths: log-normal, 22 words in the middle, 120 at the most."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        words = int(chance.lognormvariate(0, _SPREAD) * _MEDIAN_WORDS)
        made.append(" ".join(_word(chance) for _ in range(min(max(words, 2), _MOST_WORDS))))
    return [text.encode() for text in made]


def _word(chance: random.Random) -> str:
    """Give a word: three of four are common ones, which are one token each."""
    if chance.random() < 0.75:  # noqa: PLR2004 - see above
        return chance.choice(_COMMON)
    return "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 3)))


def pictures(count: int, seed: int = 0) -> list[bytes]:
    """Encode JPEGs of 0.1 to 12 megapixels, shuffled twenty by twenty: any part takes its share."""
    chance = random.Random(seed)
    twenties = range(0, count, len(_PIXELS))
    sizes = [size for _ in twenties for size in chance.sample(_PIXELS, len(_PIXELS))]
    return [_encoded(megapixels, chance.randrange(4)) for megapixels in sizes[:count]]


@lru_cache(maxsize=64)
def _encoded(megapixels: float, seed: int) -> bytes:
    return picture(megapixels, seed, quality=88)


def keys(count: int) -> Iterator[bytes]:
    """Give the records' keys: ten thousand different ones."""
    return (b"key-%d" % (number % 10_000) for number in range(count))
