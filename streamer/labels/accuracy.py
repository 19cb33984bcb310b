"""Live accuracy: answers joined with the labels that come later (prequential evaluation).

Reported by the time of the *record*, once it is older than labels usually take, so that quick
labels, which are the easy ones, don't make a version look better than it is. The headline is of the
random share alone: people label what was uncertain or complained about, and no correction repairs
that.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streamer.labels.label import Place

_MOST_ANSWERS = 200_000
_MOST_BYTES = 2**27


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version answered.

    Attributes:
        label: its best one; None where there is none.
        score: how sure it was.
        at: the record's time, milliseconds since the epoch.
        random: whether the record is in the random share.
        box: of a crop, in pixels of the record's picture: xmin, ymin, xmax, ymax.
        given: the whole answer as JSON, where it is no single label.
    """

    model: str
    version: str
    label: str | None
    score: float | None
    at: int
    random: bool = False
    box: tuple[int, int, int, int] | None = None
    given: bytes = b""


def names_it(answer: Answer, right: Any) -> bool:
    """Tell whether an answer's best label is the right one, or one of several that are."""
    return answer.label in (right if isinstance(right, list) else [right])


@dataclass
class Figures:
    """How a version fares in a cohort of records.

    Attributes:
        answered: answers old enough to have a label.
        labelled: those of them that have one, whatever for.
        right: labelled ones that the version was right about.
        asked: answers of the random share.
        random: labelled ones of the random share.
        random_right: those that the version was right about.
    """

    answered: int = 0
    labelled: int = 0
    right: int = 0
    asked: int = 0
    random: int = 0
    random_right: int = 0

    @property
    def coverage(self) -> float:
        """Labelled by answered."""
        return self.labelled / self.answered if self.answered else 0.0

    @property
    def random_coverage(self) -> float:
        """The same of the random share: below 1, what people skip may bias even the headline."""
        return self.random / self.asked if self.asked else 0.0

    @property
    def accuracy(self) -> float | None:
        """The headline: of the random share."""
        return self.random_right / self.random if self.random else None

    @property
    def reviewed(self) -> float | None:
        """Of all labelled records: those that people chose to look at."""
        return self.right / self.labelled if self.labelled else None

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True, slots=True)
class _Truth:
    answer: Any
    random: bool


@dataclass
class LiveAccuracy:
    """Joins answers with labels, whichever comes first.

    Attributes:
        delay_ms: younger records are not reported.
        window_ms: older answers are forgotten.
        cohort_ms: length of a cohort.
        most: answers that are kept at the most.
        most_bytes: what they may take where they are no single labels.
        right: tells whether an answer is as a label says.
    """

    delay_ms: int
    window_ms: int
    cohort_ms: int = 3_600_000
    most: int = _MOST_ANSWERS
    most_bytes: int = _MOST_BYTES
    right: Callable[[Answer, Any], bool] = names_it
    _bytes: int = 0
    _answers: OrderedDict[Place, Answer] = field(default_factory=OrderedDict)
    _truths: dict[Place, _Truth] = field(default_factory=dict)

    def answered(self, place: Place, answer: Answer) -> None:
        """Take note of an answer."""
        before = self._answers.get(place)
        self._bytes += len(answer.given) - (len(before.given) if before is not None else 0)
        self._answers[place] = answer
        while len(self._answers) > self.most or self._bytes > self.most_bytes:
            self._forget()

    def labelled(self, place: Place, answer: Any, *, random: bool) -> None:
        """Take note of what was right, in the place of what was said before.

        Args:
            place: which answer is meant.
            answer: what `right` compares with: a label, several that all are right, boxes, ...
            random: whether it was asked for at random.
        """
        self._truths[place] = _Truth(answer, random)

    def withdrawn(self, place: Place) -> None:
        """Forget a label."""
        self._truths.pop(place, None)

    def answer(self, place: Place) -> Answer | None:
        """Give what was answered there, if it is still known."""
        return self._answers.get(place)

    def cohorts(self, now_ms: int) -> dict[tuple[str, str, str, int], Figures]:
        """Give the figures by step, model, version, and the time at which the cohort begins."""
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.at >= now_ms - self.window_ms:
                break
            self._forget()
        found: dict[tuple[str, str, str, int], Figures] = defaultdict(Figures)
        for place, answer in self._answers.items():
            if answer.at > now_ms - self.delay_ms:
                continue
            begins = answer.at // self.cohort_ms * self.cohort_ms
            self._count(found[place.step or "", answer.model, answer.version, begins], place)
        return dict(found)

    def since(self, began_ms: int, now_ms: int, model: str) -> dict[str, Figures]:
        """Give the figures of a model by version, of records from some moment on."""
        found: dict[str, Figures] = defaultdict(Figures)
        for place, answer in self._answers.items():
            if answer.model == model and began_ms <= answer.at <= now_ms - self.delay_ms:
                self._count(found[answer.version], place)
        return dict(found)

    def versions(self, now_ms: int) -> dict[tuple[str, str, str], Figures]:
        """Give the figures by step, model and version, all cohorts together."""
        summed: dict[tuple[str, str, str], Figures] = defaultdict(Figures)
        for (step, model, version, _), figures in self.cohorts(now_ms).items():
            summed[step, model, version] = summed[step, model, version] + figures
        return dict(summed)

    def _count(self, figures: Figures, place: Place) -> None:
        answer, truth = self._answers[place], self._truths.get(place)
        figures.answered += 1
        figures.asked += answer.random
        if truth is None:
            return
        right = self.right(answer, truth.answer)
        figures.labelled += 1
        figures.right += right
        if answer.random and truth.random:
            figures.random += 1
            figures.random_right += right

    def _forget(self) -> None:
        place, gone = self._answers.popitem(last=False)
        self._bytes -= len(gone.given)
        self._truths.pop(place, None)
