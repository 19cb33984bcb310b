"""What was measured: kept after every turn, beside what earlier runs measured."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.systems import versions
from streamer.runtime import usable_cores

Turn = dict[str, Any]
"""Figures of one system in one round."""


class Figures:
    """All turns of one benchmark.

    Attributes:
        turns: by system, by round; the first system is what the others' rates are compared with.
        failed: why, by system, for each turn that came to nothing.
        asked: lines that the benchmark is to show.
    """

    def __init__(self) -> None:
        self.turns: dict[str, dict[int, Turn]] = {}
        self.failed: dict[str, list[str]] = {}
        self.asked: list[Turn] = []
        self.notes: dict[str, Any] = {}

    def resume(self, told: Mapping[str, Any]) -> None:
        """Take over the turns of an earlier run."""
        for system, one in told["systems"].items():
            self.turns[system] = {turn["round"]: turn for turn in one["rounds"]}
        self.failed = dict(told["failed"])
        self.notes = dict(told["notes"])

    def rounds(self) -> int:
        """Say how many rounds there were."""
        return max((number + 1 for turns in self.turns.values() for number in turns), default=0)

    def values(self, system: str, figure: str) -> list[float]:
        """Give one figure of all rounds of a system."""
        return [turn[figure] for turn in self.turns.get(system, {}).values() if figure in turn]

    def median(self, system: str, figure: str) -> float | None:
        """Give the median of the rounds; None if there are none."""
        found = self.values(system, figure)
        return median(found) if found else None

    def ratios(self, system: str, other: str, figure: str) -> list[float]:
        """Divide figures of two systems, round by round; rounds that only one has are left out."""
        mine, others = self.turns.get(system, {}), self.turns.get(other, {})
        return [
            mine[number][figure] / others[number][figure]
            for number in sorted(mine.keys() & others.keys())
            if figure in mine[number] and others[number].get(figure)
        ]

    def ask(self, what: str, found: Sequence[float], bar: str) -> None:
        """Note the median of some figures beside what is asked: `>= 0.9`, `<= 15`."""
        if not found:
            return
        sign, wanted = bar.split()
        figure, asked = median(found), float(wanted)
        holds = figure >= asked if sign == ">=" else figure <= asked
        rounds = [round(one, 4) for one in found]
        line = {"what": what, "figure": figure, "asked": bar, "holds": holds, "rounds": rounds}
        self.asked = [one for one in self.asked if one["what"] != what] + [line]

    def told(self) -> Turn:
        """Give medians, and every turn they are of."""
        systems = {
            name: {
                "medians": {
                    figure: median(self.values(name, figure))
                    for figure, value in next(iter(turns.values())).items()
                    if isinstance(value, int | float) and figure != "round"
                },
                "rounds": list(turns.values()),
            }
            for name, turns in self.turns.items()
            if turns
        }
        first = next(iter(self.turns), "")
        for name, told in systems.items():
            if ratios := self.ratios(name, first, "rate"):
                told["medians"]["ratio"] = median(ratios)
        return {
            "systems": systems,
            "failed": self.failed,
            "asked": self.asked,
            "notes": self.notes,
        }


class Results:
    """Results in a file that is whole after every turn; benchmarks that are not run stay in it.

    Attributes:
        interrupted: whether no further benchmark is to begin.
    """

    def __init__(self, file: Path, rounds: int, scale: float, *, add: bool = False) -> None:
        self.interrupted = False
        self._file = file
        self._add = add
        self._before: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self._figures: dict[str, Figures] = {}
        self._about = {**_machine(), "rounds": rounds, "scale": scale}

    def of(self, name: str) -> Figures:
        """Give the figures of a benchmark, to be filled.

        Raises:
            SystemExit: rounds with as many records cannot be added to those there are.
        """
        if name not in self._figures:
            self._figures[name] = Figures()
            if self._add and (before := self._before.get(name)):
                if before["about"]["scale"] != self._about["scale"]:
                    message = f"{name} has rounds at --scale {before['about']['scale']}"
                    raise SystemExit(message)
                self._figures[name].resume(before)
        return self._figures[name]

    def add(self, name: str, system: str, number: int, turn: Mapping[str, Any]) -> None:
        """Keep a turn, with the machine's load as it was before."""
        self.of(name).turns.setdefault(system, {})[number] = {"round": number, **turn}
        self.write()

    def write(self) -> None:
        """Write all that there is so far."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self.content(), indent=1))
        part.rename(self._file)

    def known(self, name: str, figure: str) -> dict[str, float]:
        """Give medians that a benchmark of this or an earlier run found, by system."""
        systems = self.content().get(name, {}).get("systems", {})
        medians = {system: told["medians"].get(figure) for system, told in systems.items()}
        return {system: value for system, value in medians.items() if value is not None}

    def content(self) -> dict[str, Any]:
        """Give everything, for programs: by benchmark, each with when and on what it was run."""
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        own = {
            name: {"about": {**self._about, "written": written}, **figures.told()}
            for name, figures in self._figures.items()
            if any(figures.turns.values()) or figures.failed
        }
        return {**self._before, **own}


def load() -> float:
    """Give how many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def _machine() -> dict[str, Any]:
    """Say what all of it was measured on."""
    commit = _told("git", "rev-parse", "--short", "HEAD")
    changed = _told("git", "status", "--porcelain", "--", "streamer", "benchmarks")
    return {
        "commit": commit + (" with changes" if changed else ""),
        "cores": usable_cores(),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "kafka-python": version("kafka-python"),
        "librdkafka": version("confluent-kafka"),
        "peers": versions(),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": load(),
    }


def _told(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - git
    return done.stdout.strip()


def _cpu() -> str:
    """Name the processor, with the instructions that eight-bit products use."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = dict(
        (part.strip() for part in line.split(":", 1))
        for line in file.read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    flags = set(lines.get("flags", "").split())
    known = [one for one in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if one in flags]
    return f"{lines.get('model name', platform.machine())} ({', '.join(known)})"
