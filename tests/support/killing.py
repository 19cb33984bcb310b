"""`streamer`, ended by SIGKILL at one of the steps that it takes on the disk and in Kafka.

    python -m support.killing ARGUMENTS...

A step is a change of a file below one of the folders in STREAM_KILL_BELOW, or a change of what is
deployed, before and after it. Each is noted in STREAM_KILL_LOG, and the process dies right before
the one that STREAM_KILL_AT names: by its number, or by what it says, a regular expression, with
`3x ` before it for the third step that says so.
"""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

_BELOW = [one for one in os.environ.get("STREAM_KILL_BELOW", "").split(os.pathsep) if one]
_AT = os.environ.get("STREAM_KILL_AT", "")
_TIMES = re.match(r"(\d+)x ", _AT)
_NUMBER = int(_AT) if _AT.isdigit() else 0
_PATTERN = "" if _NUMBER else _AT[_TIMES.end() :] if _TIMES else _AT
_PATHS = {
    "os.rename": 1,
    "os.link": 1,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.mkdir": 0,
    "shutil.copyfile": 1,
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts steps, and kills at one of them."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._count = 0
        self._left = int(_TIMES[1]) if _TIMES else 1
        self._busy = False

    def step(self, told: str) -> None:
        """Note a step, or end at it."""
        self._count += 1
        with self._log.open("a") as log:
            log.write(f"{self._count} {told}\n")
        if _PATTERN and re.search(_PATTERN, told):
            self._left -= 1
        if self._count == _NUMBER or not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """Look at what Python is about to do."""
        if self._busy:
            return
        self._busy = True
        try:
            path = self._changed(event, given)
            if path is not None:
                self.step(f"{event} {path}")
        finally:
            self._busy = False

    @staticmethod
    def _changed(event: str, given: tuple[Any, ...]) -> str | None:
        if event == "open":
            if not isinstance(given[2], int) or not given[2] & _WRITING:
                return None
            place: Any = given[0]
        elif event in _PATHS:
            place = given[_PATHS[event]]
        else:
            return None
        path = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
        inside = any(path.startswith(f"{folder}{os.sep}") for folder in _BELOW)
        learning = event == "os.mkdir" and "streamer-retrain-" in path
        if not (inside or learning):
            return None
        return re.sub(r"\.[0-9a-f]{8}\.part", ".part", re.sub(r"retrain-\w{8}$", "retrain-", path))


def main() -> None:
    """Run streamer with its steps counted."""
    from streamer.cli.app import main as streamer
    from streamer.deployments import Ledger

    steps = Steps(Path(os.environ["STREAM_KILL_LOG"]))
    changed = Ledger.change

    def change(ledger: Ledger, *given: Any, **named: Any) -> Any:
        steps.step("deploying")
        done = changed(ledger, *given, **named)
        steps.step("deployed")
        return done

    Ledger.change = change  # type: ignore[method-assign]
    sys.addaudithook(steps.hook)
    streamer()


if __name__ == "__main__":
    main()
