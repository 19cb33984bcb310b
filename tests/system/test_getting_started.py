"""The page for newcomers, command by command."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.daemon import environment_of
from support.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"
TOPICS = ("my.messages", "my.answers", "my.deadletters")
GOES_ON = ("streamer run", "streamer dashboard")
LEFT_OUT = ("python3 -m venv", "streamer broker", "export STREAMER_KAFKA__BOOTSTRAP_SERVERS")


def blocks():
    """Give the page's commands, without those that the test has its own in place of."""
    found = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [block.strip() for block in found if not block.startswith(LEFT_OUT)]


@pytest.fixture
def shell(tmp_path, broker, topics):
    topics.own(*TOPICS)
    (tmp_path / "bin").mkdir()
    for name, runs in (("streamer", "-m streamer"), ("python", "")):
        command = tmp_path / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {runs} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
    given = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": broker,
        "STREAMER_HTTP__HOST": "127.0.0.1",
    }
    begun = []

    def run(block):
        if block.startswith(GOES_ON):
            log = tmp_path / f"{len(begun)}.log"
            with log.open("wb") as out:
                begun.append(
                    subprocess.Popen(  # noqa: S603 - our own page
                        ["bash", "-c", f"exec {block}"],  # noqa: S607
                        cwd=tmp_path,
                        env=environment_of(given),
                        stdout=out,
                        stderr=out,
                    )
                )
            told = "begins" if "run" in block else "live page"
            eventually(lambda: told in log.read_text(), f"{block} says {told}")
            return ""
        done = subprocess.run(  # noqa: S603 - our own page
            ["bash", "-euo", "pipefail", "-c", block],  # noqa: S607
            cwd=tmp_path,
            env=environment_of(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    yield run
    for process in begun:
        process.send_signal(signal.SIGINT)
    codes = [process.wait(60) for process in begun]
    said = "".join(file.read_text() for file in sorted(tmp_path.glob("*.log")))
    assert codes == [0] * len(begun), said


def test_whoever_follows_the_page_gets_answers(shell):
    given = blocks()
    assert len(given) >= 8
    said = {block: shell(block) for block in given}
    tried, answered = (
        next(text for block, text in said.items() if name in block)
        for name in ("streamer models try", "streamer tail my.answers")
    )
    for text in (tried, answered):
        assert "card_arrival" in text or "delivery_late" in text, text
    assert len(answered.splitlines()) == 3
    letters = next(text for block, text in said.items() if "deadletters list" in block)
    assert "invalid-utf8" in letters
    assert "my" in said["streamer top --once"]
