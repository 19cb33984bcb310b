"""`streamer demo`: the loop closes before one's eyes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

_WITHIN_S = 180.0


def told_of(text: str) -> dict[str, str]:
    """How often each version was right about new messages, as the demo said last."""
    last = text.rpartition("new messages: ")[2]
    return dict(re.findall(r"version\s+(\d)\s+was\s+right\s+about\s+([0-9.]+)%", last))


@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_demo_s_weak_version_is_replaced_by_one_that_learnt_from_its_labels(tmp_path: Path):
    out = tmp_path / "demo.txt"
    inherited = {name: value for name, value in os.environ.items() if "STREAMER_" not in name}
    with out.open("wb") as written:
        demo = subprocess.Popen(
            [sys.executable, "-m", "streamer", "demo"],
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**inherited, "STREAMER_HTTP__PORT": "0", "PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
        )
    try:

        def told() -> dict[str, str]:
            assert demo.poll() is None, out.read_text()
            return told_of(out.read_text())

        # Said once 200 messages were answered that nobody could have learnt from.
        eventually(lambda: "2" in told(), "the second version is judged", _WITHIN_S, 1.0)
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0, out.read_text()
    text = out.read_text()
    shares = told_of(text)
    assert float(shares["2"]) > float(shares["1"]) + 10, text
    assert "version 2 of intents answers" in text
    assert "promote" in text
