"""Which records to ask people about: a random share, and those that the model is unsure of."""

import json
from collections import deque
from hashlib import blake2b

from streamer.labels.label import Place

_WHOLE = 2.0**53
_LEAST_SEEN = 50


def draw(place: Place) -> float:
    """Give a record's lot between 0 and 1: the same whoever draws it, and whenever."""
    named = f"{place.topic}/{place.partition}/{place.offset}"
    digest = blake2b(named.encode(), digest_size=8, person=b"label-requests").digest()
    return (int.from_bytes(digest, "big") >> 11) / _WHOLE


def is_random(place: Place, share: float) -> bool:
    """Whether a record is in the random share: known from its place alone."""
    return draw(place) < share


class Requests:
    """Chooses the answers that people are asked about.

    A record is asked about at random by its place's lot, whatever the answer to it; and beside
    that if its score is among the lowest of the last ones. One that is both counts as random, so
    that the random share stays a fair sample.

    Args:
        random: share asked about at random.
        uncertain: share of the lowest scores that is asked about.
        window: answers among which a score counts as low.
    """

    def __init__(self, random: float, uncertain: float, window: int = 2000) -> None:
        self._random = random
        self._uncertain = uncertain
        self._scores: deque[float] = deque(maxlen=window)

    def asked(self, place: Place, score: float | None) -> tuple[str, float] | None:
        """Say why an answer is asked about, and how probable that was; None if it is not."""
        low = score is not None and self._is_low(score)
        if score is not None:
            self._scores.append(score)
        if is_random(place, self._random):
            return "random", self._random
        return ("uncertain", 1.0) if low else None

    def _is_low(self, score: float) -> bool:
        if not self._uncertain or len(self._scores) < _LEAST_SEEN:
            return False
        rank = sum(one <= score for one in self._scores)
        return rank / len(self._scores) < self._uncertain


def request_value(
    place: Place, timestamp: int | None, reason: str, propensity: float, answer: str | None
) -> bytes:
    """Write a request: a label that lacks nothing but its answer."""
    ref = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    request = {
        "ref": {**ref, **({"timestamp": timestamp} if timestamp is not None else {})},
        "step": place.step,
        **({"item": place.item} if place.item is not None else {}),
        "reason": reason,
        "propensity": propensity,
        "answered": answer,
    }
    return json.dumps(request, ensure_ascii=False).encode()
