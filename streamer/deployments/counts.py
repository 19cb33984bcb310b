"""What a rollout is judged by: counts that every daemon tells, summed over the fleet."""

from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from streamer.deployments.deployment import Deployment, now
from streamer.deployments.intervals import Moments
from streamer.deployments.rules import Arm, Evidence
from streamer.records import Record

Triple = tuple[int, float, float]
"""Count, sum and sum of squares."""


class ArmCounts(BaseModel):
    """What one version did.

    Attributes:
        records: it was asked about.
        errors: records it failed on.
        times: moments of the logarithm of seconds an item, of the runs that are compared.
        scores: moments of its best scores.
        labelled: records with a label.
        correct: of them answered as the label says.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    records: int = 0
    errors: int = 0
    times: Triple = (0, 0.0, 0.0)
    scores: Triple = (0, 0.0, 0.0)
    labelled: int = 0
    correct: int = 0

    def __add__(self, other: "ArmCounts") -> "ArmCounts":
        return ArmCounts(
            records=self.records + other.records,
            errors=self.errors + other.errors,
            times=_plus(self.times, other.times),
            scores=_plus(self.scores, other.scores),
            labelled=self.labelled + other.labelled,
            correct=self.correct + other.correct,
        )

    def arm(self) -> Arm:
        """Give it as the rules want it."""
        return Arm(self.records, self.errors, Moments(*self.times), self.labelled, self.correct)


class Counts(BaseModel):
    """What one daemon has counted of one rollout since it began; an event.

    Attributes:
        rollout: which: when it began, as the deployment says.
        failed: why the daemon can't put the candidate to work.
        compared: records that both answered (a shadow's).
        agreed: of them answered alike.
        shift: sum of the differences of their scores.
        shed: records that the shadow passed over since it was behind.
        paired: labelled records that both answered.
        gains: of them the candidate alone was right about.
        losses: of them the champion alone was right about.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["counts"] = "counts"
    at: str = ""
    daemon: str
    model: str
    rollout: str
    failed: str | None = None
    champion: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    compared: int = 0
    agreed: int = 0
    shift: float = 0.0
    shed: int = 0
    paired: int = 0
    gains: int = 0
    losses: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        numbers = ("compared", "agreed", "shift", "shed", "paired", "gains", "losses")
        return self.model_copy(
            update={
                "failed": self.failed or other.failed,
                "champion": self.champion + other.champion,
                "candidate": self.candidate + other.candidate,
                **{name: getattr(self, name) + getattr(other, name) for name in numbers},
            }
        )

    @property
    def key(self) -> bytes:
        """The event's key: the last counts of a daemon stand."""
        return f"counts/{self.model}/{self.daemon}/{self.rollout}".encode()

    @classmethod
    def read(cls, record: Record) -> Self | None:
        """Read an event; None if it is another one."""
        if record.value is None or b'"counts"' not in record.value:
            return None
        try:
            return cls.model_validate_json(record.value)
        except ValidationError:
            return None


class Poll:
    """The counts of all daemons, dead ones too: what they counted has happened."""

    def __init__(self) -> None:
        self._counts: dict[bytes, Counts] = {}

    def note(self, record: Record) -> None:
        """Take note of a record of the events topic; others than counts are passed over."""
        if record.value is None:
            self._counts.pop(record.key or b"", None)
        counts = Counts.read(record)
        if counts is not None:
            self._counts[counts.key] = counts

    def of(self, model: str, rollout: str) -> list[Counts]:
        """Give the counts of one rollout, daemon by daemon."""
        return [
            counts
            for counts in self._counts.values()
            if (counts.model, counts.rollout) == (model, rollout)
        ]

    def evidence(
        self, model: str, rollout: str, alive: Iterable[str], elapsed_s: float
    ) -> Evidence:
        """Sum what is known of a rollout.

        Args:
            model: whose rollout.
            rollout: when it began.
            alive: the living daemons that serve the model; all have to be heard.
            elapsed_s: since it began.
        """
        counts = self.of(model, rollout)
        living = set(alive)
        fleet = sum(counts, start=Counts(daemon="", model=model, rollout=rollout))
        return Evidence(
            fleet.champion.arm(),
            fleet.candidate.arm(),
            elapsed_s,
            failures=tuple(
                f"{one.daemon}: {one.failed}"
                for one in counts
                if one.failed and one.daemon in living
            ),
            unheard=tuple(sorted(living - {one.daemon for one in counts})),
            compared=fleet.compared,
            agreed=fleet.agreed,
            paired=fleet.paired,
            gains=fleet.gains,
            losses=fleet.losses,
        )


def labelled(
    who: str, model: str, deployment: Deployment, answers: Iterable[tuple[str, bool]]
) -> Counts:
    """Count what labels say of a rollout's answers, for whoever joins the two.

    Args:
        who: that counts; its last counts stand, so they are of all answers since the rollout began.
        model: whose rollout.
        deployment: that put the candidate beside the champion.
        answers: the version that gave each labelled answer, and whether it was right.
    """
    sums = {deployment.champion: [0, 0], deployment.candidate: [0, 0]}
    for version, right in answers:
        if version in sums:
            sums[version][0] += 1
            sums[version][1] += right
    first, second = (ArmCounts(labelled=n, correct=right) for n, right in sums.values())
    told = {"at": now(), "daemon": who, "model": model, "rollout": deployment.at}
    return Counts.model_validate({**told, "champion": first, "candidate": second})


def comparison(counts: Counts) -> Mapping[str, float | int | None]:
    """Give the figures of a rollout that people look at."""
    one, two = counts.champion, counts.candidate
    means = [arm.scores[1] / arm.scores[0] if arm.scores[0] else None for arm in (one, two)]
    shift = None if None in means else (means[1] or 0.0) - (means[0] or 0.0)
    if counts.compared:
        shift = counts.shift / counts.compared
    return {
        "champion_records": one.records,
        "champion_errors": one.errors,
        "candidate_records": two.records,
        "candidate_errors": two.errors,
        "compared": counts.compared,
        "agreement": counts.agreed / counts.compared if counts.compared else None,
        "score_shift": shift,
        "shed": counts.shed,
    }


def _plus(one: Triple, other: Triple) -> Triple:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
