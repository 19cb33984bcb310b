"""What becomes of deployments that cannot be fetched; swaps themselves are tried on a broker."""

from types import SimpleNamespace

import pytest

from streamer.config import Settings
from streamer.deployments import Deployment
from streamer.errors import DownloadError
from streamer.pipeline import serving as module
from streamer.pipeline.serving import Serving


class Swaps:
    """Serves version 3 and no other; while it fetches another, something may happen."""

    def __init__(self):
        self.served = []
        self.meanwhile = lambda: None

    def serve(self, name, version, *_, **__):
        self.served.append(version)
        if version != "3":
            self.meanwhile()
            raise DownloadError("the registry does not answer")


@pytest.fixture
def now(monkeypatch):
    made = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: made[0])
    return made


@pytest.fixture
def serving(monkeypatch, now):
    for name in ("Ledger", "Follower", "Reporter"):
        monkeypatch.setattr(module, name, lambda *_: SimpleNamespace(tell=lambda *_: None))
    monkeypatch.setattr(module, "tell_models", lambda *_: None)
    champion = SimpleNamespace(version_name="1")
    models = SimpleNamespace(following=lambda _: [SimpleNamespace(champion=champion)])
    metrics = SimpleNamespace(swap_failed=lambda _: None)
    made = Serving(Settings(), models, metrics, ["mood"])
    made._swaps = Swaps()
    return made


def test_a_version_that_cannot_be_fetched_is_tried_again(serving, now):
    serving._note("mood", Deployment(champion="2"))
    serving._serve(*serving._next(0))
    assert serving._next(0) is None
    now[0] += 60
    assert serving._next(0) == ("mood", Deployment(champion="2"))


def test_one_that_was_superseded_while_it_was_fetched_never_comes_back(serving, now):
    later = Deployment(champion="3")
    serving._note("mood", Deployment(champion="2"))
    serving._swaps.meanwhile = lambda: serving._note("mood", later)
    serving._serve(*serving._next(0))
    taken = serving._next(0)
    assert taken == ("mood", later)
    serving._serve(*taken)
    now[0] += 60
    assert serving._next(0) is None
    assert serving._swaps.served == ["2", "3", "3"]  # the last one, with its candidate: none
