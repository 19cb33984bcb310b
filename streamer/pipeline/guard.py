"""Stops a topology whose model fails on record after record."""

from collections import deque
from collections.abc import Iterable, Iterator

from streamer.config.topology import DeadLetter
from streamer.errors import BrokenModelError
from streamer.pipeline.model import chosen_of
from streamer.records import Item, Rejection, Wave

_MODEL_STAGES = frozenset({"preprocess", "infer", "postprocess"})


class Guard:
    """Counts failures of the models; values that can't be decoded are the producers' matter.

    Those of a candidate are the rollout's: its rules take it back, and the topology goes on.
    """

    def __init__(self, limits: DeadLetter) -> None:
        self._limits = limits
        self._recent: deque[bool] = deque(maxlen=limits.window)
        self._failed_recently = 0
        self._in_a_row = 0

    def checked(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Pass waves on.

        Raises:
            BrokenModelError: too many failed; nothing of the wave is published, so that its
                records are answered once the model is mended.
        """
        for wave in waves:
            trials = [chosen for chosen in chosen_of(wave) if chosen.candidate is not None]
            for item in wave.items:
                if trials and any(chosen.of(item) is chosen.candidate for chosen in trials):
                    continue
                self._count(item)
            yield wave

    def _count(self, item: Item) -> None:
        rejection = item.rejection
        if rejection is not None and rejection.stage not in _MODEL_STAGES:
            return
        failed = rejection is not None
        if len(self._recent) == self._recent.maxlen:
            self._failed_recently -= self._recent[0]
        self._recent.append(failed)
        self._failed_recently += failed
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if rejection is None:
            return
        if self._in_a_row >= self._limits.max_consecutive:
            self._stop(f"{self._in_a_row} records in a row", rejection)
        full = len(self._recent) == self._recent.maxlen
        if full and self._failed_recently > self._limits.max_ratio * len(self._recent):
            self._stop(
                f"{self._failed_recently} of the last {len(self._recent)} records", rejection
            )

    def _stop(self, how_many: str, rejection: Rejection) -> None:
        message = (
            f"{how_many} failed in the step '{rejection.step}', so the topology stops instead of "
            f"emptying its topic into the dead letters (deadletter.max_consecutive, "
            f"deadletter.max_ratio); the last one: {rejection.stage}: {rejection.message}"
        )
        raise BrokenModelError(message)
