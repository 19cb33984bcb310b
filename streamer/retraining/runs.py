"""Runs, as they are kept: how far each came, what it said, how often held-out records were used.

A run goes through `cut`, `looked`, `registered` and `done`. One that was killed is either over (it
had written no version) or goes on (its version is in the registry and names it).
"""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from streamer.retraining.place import Place

Stage = Literal["cut", "looked", "registered", "done"]
KILLED = "killed"
_RUNS, _LOOKS = "runs", "looks"
_MOST_KILLED = 3


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        number: of the run, from 1.
        stage: the last one that was reached.
        why: what began it.
        champion: version that it was compared with.
        set_version: number of the set's last shard when it was cut.
        digest: of what was in it.
        taken: labels that had been taken in by then.
        verdict: what the gate said, or `failed`, or `killed`.
        version: what it became in the registry, if it did.
        trained: names of the examples that it learnt from.
    """

    number: int
    stage: Stage
    why: str
    champion: str
    set_version: int
    digest: str
    taken: int
    began: str
    ended: str | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    version: str | None = None
    trained: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its files are."""
        return f"{_RUNS}/{self.number:06d}"


class Runs:
    """The runs of a labelled set.

    Args:
        place: where they are kept.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._runs: dict[int, Run] = {}
        for name in place.names(_RUNS):
            content = place.read(f"{_RUNS}/{name}/run.json")
            if content is not None:
                read = json.loads(content)
                for key in ("reasons", "trained"):
                    read[key] = tuple(read[key])
                run = Run(**read)
                self._runs[run.number] = run

    def all(self) -> list[Run]:
        """Give all, oldest first."""
        return [self._runs[number] for number in sorted(self._runs)]

    def last(self) -> Run | None:
        """Give the last one that came to a verdict: one that was killed is begun again.

        After three that were killed in a row nothing is begun again before there is something new:
        it may be the run that kills the process.
        """
        done = [run for run in self.all() if run.stage == "done"]
        if len(done) >= _MOST_KILLED and all(r.verdict == KILLED for r in done[-_MOST_KILLED:]):
            return done[-1]
        return next((run for run in reversed(done) if run.verdict != KILLED), None)

    def open(self) -> list[Run]:
        """Give those that were begun and are not over: killed, or under way."""
        return [run for run in self.all() if run.stage != "done"]

    @property
    def following(self) -> int:
        """The number that the next run will have."""
        return max(self._runs, default=0) + 1

    def begin(self, **told: Any) -> Run:
        """Begin one."""
        return self.keep(Run(number=self.following, stage="cut", began=now(), **told))

    def keep(self, run: Run, **changed: Any) -> Run:
        """Write how a run stands."""
        run = replace(run, **changed)
        content = json.dumps(asdict(run), ensure_ascii=False, indent=1)
        self._place.write(f"{run.folder}/run.json", content.encode())
        self._runs[run.number] = run
        return run

    def look(self, run: Run) -> int:
        """Count a run's look at the held-out records, before it looks; give which it is."""
        epoch = self.retired
        self._place.write(f"{_LOOKS}/{epoch:08d}/{run.number:06d}", run.began.encode())
        return self._numbers(epoch).index(run.number) + 1

    @property
    def looks(self) -> int:
        """How often the held-out records were looked at."""
        return len(self._numbers(self.retired))

    @property
    def retired(self) -> int:
        """Sequence up to which what was held out is learnt from: 0 at first."""
        return max((int(name) for name in self._place.names(_LOOKS) if name.isdigit()), default=0)

    def retire(self, sequence: int) -> None:
        """Hold out newer labels from now on."""
        self._place.write(f"{_LOOKS}/{sequence:08d}/.begun", b"")

    def _numbers(self, epoch: int) -> list[int]:
        names = self._place.names(f"{_LOOKS}/{epoch:08d}")
        return sorted(int(name) for name in names if name.isdigit())

    def trained_on(self, name: str) -> list[str]:
        """Name the versions that an example was learnt for."""
        return [run.version for run in self.all() if run.version and name in run.trained]


def now() -> str:
    """Give the time as runs carry it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
