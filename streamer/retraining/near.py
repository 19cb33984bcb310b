"""Near-duplicates: pictures by their gradients, texts by their groups of three words.

Pictures: dHash, the signs of the differences between neighbours of a 9x8 thumbnail (N. Krawetz
2013, "Kind of Like That"). Texts: MinHash over word trigrams with banding (A. Broder 1997, "On the
resemblance and containment of documents"; P. Indyk, R. Motwani 1998).
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.records import Image, Pair, Sample

_BITS = 64
_NEAR_BITS = 4
_PERMUTATIONS = 64
_ROWS = 4
_ALIKE = 0.8
_SHINGLE = 3
_PRIME = 2**32 + 15
_FLAT = 3.0
_coefficients = np.random.default_rng(20240).integers(1, 2**31 - 1, (2, _PERMUTATIONS))


def signature(sample: Sample) -> bytes:
    """Give what near-duplicates have nearly in common: 8 bytes of a picture, 256 of a text."""
    if isinstance(sample, Image):
        return _dhash(sample.pixels)
    words = f"{sample.first}\n{sample.second}" if isinstance(sample, Pair) else sample.text
    return _minhash(words)


def _dhash(pixels: NDArray[np.uint8]) -> bytes:
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    if small.max() - small.min() <= _FLAT:
        return b""  # a plain surface has no gradients: all of them would be alike
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def _minhash(text: str) -> bytes:
    words = re.findall(r"\w+", text.lower())
    if len(words) < _SHINGLE:
        return b""  # too short to be near anything but itself
    grams = {" ".join(words[at : at + _SHINGLE]) for at in range(len(words) - _SHINGLE + 1)}
    hashed = np.array(
        [int.from_bytes(blake2b(gram.encode(), digest_size=4).digest(), "big") for gram in grams],
        dtype=np.int64,
    )
    a, b = _coefficients
    mixed = (hashed[:, None] * a[None, :] + b[None, :]) % _PRIME
    low: NDArray[np.uint32] = (mixed.min(axis=0) & 0xFFFFFFFF).astype(np.uint32)
    return low.tobytes()


class Near:
    """Finds what is near to what was seen."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int, bytes], list[tuple[bytes, str]]] = defaultdict(list)

    def add(self, given: bytes, cluster: str) -> None:
        """Remember a signature and the cluster that it is in."""
        for bucket in _buckets(given):
            self._buckets[bucket].append((given, cluster))

    def clusters(self, given: bytes) -> list[str]:
        """Give the clusters of what is near, in the order in which they were added."""
        found: dict[str, None] = {}
        for bucket in _buckets(given):
            for other, cluster in self._buckets.get(bucket, ()):
                if cluster not in found and alike(given, other):
                    found[cluster] = None
        return list(found)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two signatures are those of near-duplicates."""
    if not one or len(one) != len(other):
        return False
    if len(one) * 8 == _BITS:
        return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count() <= _NEAR_BITS
    same = np.frombuffer(one, np.uint32) == np.frombuffer(other, np.uint32)
    return bool(same.mean() >= _ALIKE)


def pairs_across(given: Iterable[tuple[bytes, str]]) -> int:
    """Count examples that are near to one of another side; the split makes it 0."""
    near = Near()
    count = 0
    for one, side in given:
        count += any(found != side for found in near.clusters(one))
        near.add(one, side)
    return count


def _buckets(given: bytes) -> list[tuple[int, int, bytes]]:
    """Cut a signature into bands: near ones have a band in common."""
    # Of eight bytes at most four differ by a bit each; of a text's bands most are equal at 0.8.
    size = 1 if len(given) * 8 == _BITS else _ROWS * 4
    return [(len(given), at, given[at : at + size]) for at in range(0, len(given), size)]


__all__ = ["Near", "alike", "pairs_across", "signature"]
