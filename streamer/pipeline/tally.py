"""What the two versions of a rollout do in this process, counted."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import log
from threading import Lock
from typing import Any

from streamer.deployments.counts import ArmCounts, Counts, Triple
from streamer.pipeline.model import Chosen, ModelVersion
from streamer.records import Answer, Item, Rejection
from streamer.tasks.agreement import agreement

_MODEL_STAGES = frozenset({"preprocess", "infer", "postprocess", "encode"})
_LEAST_S = 1e-7


@dataclass
class _Arm:
    """One version's counts, as they grow."""

    records: int = 0
    errors: int = 0
    times: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])
    scores: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])

    def ran(self, items: int, seconds: float) -> None:
        """Note the time an item of a run."""
        _add(self.times, log(max(seconds / items, _LEAST_S)))

    def answered(self, answers: Iterable[Answer], *, failed: bool) -> None:
        """Note a record, whether it failed, else how sure its answers are."""
        self.records += 1
        self.errors += failed
        if not failed:
            for answer in answers:
                score = best_score(answer.output)
                if score is not None:
                    _add(self.scores, score)

    def counts(self) -> ArmCounts:
        """Give what is counted so far."""
        return ArmCounts(
            records=self.records,
            errors=self.errors,
            times=_triple(self.times),
            scores=_triple(self.scores),
        )


class Tally:
    """Counts of one rollout; several threads count.

    Args:
        model: the model's name.
        rollout: which rollout of it, by when it began.
        champion: the version that serves.
        candidate: the version beside it.
        failed: why the candidate can't be put to work; then nothing is counted.
    """

    def __init__(
        self,
        model: str,
        rollout: str,
        champion: ModelVersion,
        candidate: ModelVersion | None,
        failed: str | None = None,
    ) -> None:
        self.model = model
        self.rollout = rollout
        self.failed = failed
        self.champion = champion
        self.candidate = candidate
        self._lock = Lock()
        self._one, self._two = _Arm(), _Arm()
        self._compared = self._agreed = self._shed = 0
        self._shift = 0.0

    def ran(self, version: ModelVersion, items: int, seconds: float) -> None:
        """A batch was run by a version, perhaps by one of ours."""
        arm = self._arm(version)
        if arm is not None and items:
            with self._lock:
                arm.ran(items, seconds)

    def settled(self, chosen: Chosen, steps: frozenset[str], items: Sequence[Item]) -> None:
        """Records of a wave were answered, each by the version that was chosen for it.

        Args:
            chosen: the versions the wave came with.
            steps: that the model works in.
            items: all of the wave.
        """
        if chosen.candidate is not self.candidate:
            return  # it entered before this rollout, or after it
        with self._lock:
            for item in items:
                failed = failed_in(item.rejection, steps)
                if failed is not None and not item.tombstone and not item.dropped:
                    arm = self._arm(chosen.of(item))
                    if arm is not None:
                        given = [item.answers[step] for step in steps if step in item.answers]
                        arm.answered(given, failed=failed)

    def shadowed(
        self, first: Mapping[str, Answer] | None, second: Mapping[str, Answer] | None
    ) -> None:
        """Both versions were asked about a record; None: it failed."""
        with self._lock:
            for arm, answers in ((self._one, first), (self._two, second)):
                arm.answered((answers or {}).values(), failed=answers is None)
            if first is None or second is None:
                return
            found = [
                agreement(first[step].output, second[step].output)
                for step in first.keys() & second.keys()
            ]
            self._compared += 1
            self._agreed += all(one.same for one in found)
            self._shift += sum(one.shift for one in found) / max(len(found), 1)

    def shed(self, records: int) -> None:
        """The shadow passed records over."""
        with self._lock:
            self._shed += records

    def counts(self, daemon: str, at: str) -> Counts:
        """Give what is counted so far, as an event."""
        with self._lock:
            return Counts(
                at=at,
                daemon=daemon,
                model=self.model,
                rollout=self.rollout,
                failed=self.failed,
                champion=self._one.counts(),
                candidate=self._two.counts(),
                compared=self._compared,
                agreed=self._agreed,
                shift=self._shift,
                shed=self._shed,
            )

    def _arm(self, version: ModelVersion) -> _Arm | None:
        if version is self.champion:
            return self._one
        return self._two if version is self.candidate else None


def failed_in(rejection: Rejection | None, steps: frozenset[str]) -> bool | None:
    """Whether a record failed in these steps; None if it never came to them."""
    if rejection is None:
        return False
    if rejection.stage not in _MODEL_STAGES:
        return None
    return True if rejection.step is None or rejection.step in steps else None


def best_score(output: Any) -> float | None:
    """Give the highest score of an answer; None if it has none."""
    found: Any = output
    with suppress(LookupError, TypeError):
        if isinstance(found, Sequence) and not isinstance(found, str):
            found = found[0]
            if "output" in found and "item" in found:
                found = found["output"][0]
        score = found["score"]
        return float(score) if isinstance(score, int | float) else None
    return None


def _add(sums: list[float], value: float) -> None:
    sums[0] += 1
    sums[1] += value
    sums[2] += value * value


def _triple(sums: Sequence[float]) -> Triple:
    return int(sums[0]), sums[1], sums[2]
