from collections.abc import Iterator

import pytest
from support.waiting import eventually

from streamer.deployments.deployment import Deployment
from streamer.deployments.marks import Marks
from streamer.errors import ConfigError, DownloadError


class Kept:
    """A registry's aliases; fails as it is told to."""

    def __init__(self) -> None:
        self.marked: list[tuple[str, str, str | None]] = []
        self.failures: list[Exception] = []

    def mark(self, name: str, champion: str, candidate: str | None) -> None:
        if self.failures:
            raise self.failures.pop()
        self.marked.append((name, champion, candidate))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def marks(kept) -> Iterator[Marks]:
    made = Marks(kept)
    yield made
    made.close()


def test_what_changes_is_shown_once(marks, kept):
    one, two = Deployment(champion="1"), Deployment(champion="1", candidate="2")
    marks.want({"mood": one, "signs": one})
    eventually(lambda: len(kept.marked) == 2, "both are shown")
    marks.want({"mood": two, "signs": one})
    marks.want({"mood": two, "signs": one})
    eventually(lambda: len(kept.marked) == 3, "the change is shown")
    assert kept.marked == [("mood", "1", None), ("signs", "1", None), ("mood", "1", "2")]
    marks.afresh()
    eventually(lambda: len(kept.marked) == 5, "all is shown once more")


def test_a_registry_that_is_away_is_asked_again_and_one_that_knows_no_such_model_is_not(
    marks, kept
):
    kept.failures = [ConfigError("no such model"), DownloadError("away"), DownloadError("away")]
    marks.want({"mood": Deployment(champion="1"), "signs": Deployment(champion="3")})
    eventually(lambda: kept.marked, "the second is shown")
    assert kept.marked == [("signs", "3", None)]
