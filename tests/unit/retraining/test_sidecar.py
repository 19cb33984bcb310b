import signal
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from streamer.config import Settings
from streamer.retraining import sidecar

pytestmark = pytest.mark.usefixtures("signals")


class _Told:
    """Stands for a sidecar; notes what signals ask of it."""

    def __init__(self) -> None:
        self.asked, self.stopped = Event(), Event()
        self.ask, self.stop = self.asked.set, self.stopped.set

    def serve(self) -> None:
        signal.raise_signal(signal.SIGUSR1)
        assert self.asked.wait(30)
        assert not self.stopped.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert self.stopped.wait(30)


def test_signals_ask_for_a_run_and_end_it(monkeypatch):
    plan = SimpleNamespace(file=SimpleNamespace(budget=SimpleNamespace(niceness=0)))
    monkeypatch.setattr(sidecar, "planned", lambda _path, _settings: plan)
    monkeypatch.setattr(sidecar, "Sidecar", lambda *_parts, **_choices: _Told())
    assert sidecar.run_sidecar(Path("retrain.yaml"), Settings()) == 0
