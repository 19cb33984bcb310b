"""What was measured: kept after every turn, told as JSON and as a table."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
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
        asked: lines that the benchmark is to show.
    """

    def __init__(self) -> None:
        self.turns: dict[str, dict[int, Turn]] = {}
        self.failed: dict[str, str] = {}
        self.asked: list[Turn] = []
        self.notes: dict[str, Any] = {}

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
    """The results of one run, in a file that is whole after every turn.

    Attributes:
        interrupted: whether no further benchmark is to begin.
    """

    def __init__(self, file: Path, rounds: int, scale: float) -> None:
        self.interrupted = False
        self._file = file
        self._figures: dict[str, Figures] = {}
        self._about = {**_machine(), "rounds": rounds, "scale": scale}

    def of(self, name: str) -> Figures:
        """Give the figures of a benchmark, to be filled."""
        return self._figures.setdefault(name, Figures())

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

    def content(self) -> dict[str, Any]:
        """Give everything, for programs."""
        about = {**self._about, "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return {"about": about, "results": {k: one.told() for k, one in self._figures.items()}}


def load() -> float:
    """Give how many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def table(content: Mapping[str, Any]) -> str:
    """Write results as Markdown: systems, then what was asked."""
    return "\n".join(_lines(content)) + "\n"


_COLUMNS = {
    "rate": ("records/s", "{:,.0f}"),
    "ratio": ("ratio", "{:.2f}"),
    "cpu_ms": ("CPU ms a record", "{:.3f}"),
    "broker_cpu_ms": ("broker's", "{:.3f}"),
    "p50_ms": ("p50 ms", "{:,.1f}"),
    "p99_ms": ("p99 ms", "{:,.1f}"),
    "beyond_raw_ms": ("beyond the raw run, ms", "{:,.1f}"),
    "memory_mib": ("MiB", "{:,.0f}"),
    "load": ("load before", "{:.1f}"),
}


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    about = content["about"]
    yield (
        f"Commit {about['commit']}, {about['cores']} cores of {about['cpu']}, Python "
        f"{about['python']}, ONNX Runtime {about['onnxruntime']}, kafka-python {about['kafka']}, "
        f"{', '.join(f'{name} {found}' for name, found in about['peers'].items())}; "
        f"{about['written']}.\n"
    )
    if about["scale"] < 1:
        yield "With fewer records than it is meant for: it runs; rates are of a few waves only.\n"
    for name, told in content["results"].items():
        found = [system["medians"] for system in told["systems"].values()]
        columns = [key for key in _COLUMNS if any(key in one for one in found)]
        yield f"### {name}\n"
        yield "| system | rounds | " + " | ".join(_COLUMNS[key][0] for key in columns) + " |"
        yield "| --- " * (len(columns) + 2) + "|"
        for system, medians in zip(told["systems"], found, strict=True):
            cells = [
                _COLUMNS[key][1].format(medians[key]) if key in medians else "" for key in columns
            ]
            rounds = len(told["systems"][system]["rounds"])
            yield f"| {system} | {rounds} | " + " | ".join(cells) + " |"
        for system, why in told["failed"].items():
            yield f"\n{system} failed: {why}"
        yield ""
    asked = [(name, line) for name, told in content["results"].items() for line in told["asked"]]
    if asked:
        yield "### What is asked\n"
        yield "| benchmark | figure | median | range | asked | |"
        yield "| --- | --- | --- | --- | --- | --- |"
    for name, line in asked:
        low, high = min(line["rounds"]), max(line["rounds"])
        yield (
            f"| {name} | {line['what']} | {line['figure']:.3g} | {low:.3g} to {high:.3g} | "
            f"{line['asked']} | {'holds' if line['holds'] else 'no'} |"
        )


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
        "kafka": version("kafka-python"),
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
