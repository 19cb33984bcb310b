"""Results as Markdown, as docs/performance.md shows them: `python -m benchmarks.report [RESULTS…]`.

Files that are named later win where two have a benchmark.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path("build/benchmarks/results.json")
_COLUMNS = {
    "rate": ("records/s", "{:,.0f}"),
    "cpu_ms": ("CPU ms a record", "{:.3f}"),
    "broker_cpu_ms": ("broker's", "{:.3f}"),
    "memory_mib": ("MiB", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:,.1f}"),
    "p99_ms": ("p99 ms", "{:,.1f}"),
    "beyond_raw_ms": ("ms beyond the raw run", "{:,.1f}"),
}
_FEW = 0.2
"""A look whether everything runs: a scale at which an answer is one of a few waves only."""
_BACKLOG = ("rate", "cpu_ms", "broker_cpu_ms", "memory_mib")
_LATENCY = ("p50_ms", "p99_ms", "beyond_raw_ms")
Content = Mapping[str, Any]


def report(content: Content) -> str:
    """Write results as Markdown: what was run, systems, what is asked, what failed."""
    parts = [
        _runs(content),
        _systems(content, "rate", _BACKLOG),
        _systems(content, "p50_ms", _LATENCY),
        _asked(content),
        _failures(content),
    ]
    return "\n".join("\n".join(lines) + "\n" for lines in map(list, parts) if lines)


def _runs(content: Content) -> Iterator[str]:
    """Say when and on what; machines that differ are each named."""
    for machine in dict.fromkeys(_machine(told["about"]) for told in content.values()):
        yield machine + "\n"
    yield from _head("benchmark", "records", "rounds", "measured", "commit", "load before")
    for name, told in content.items():
        about = told["about"]
        counts = sorted({len(system["rounds"]) for system in told["systems"].values()})
        records = told["notes"].get("records", "")
        records = f"{records:,}" if isinstance(records, int) else records
        loads = [turn["load"] for one in told["systems"].values() for turn in one["rounds"]]
        yield _row(
            name,
            f"{records} (too few for rates)" if about["scale"] < _FEW else records,
            " to ".join(map(str, dict.fromkeys(counts[:: len(counts) - 1 or 1]))),
            about["written"].replace("T", " ").removesuffix("Z")[:16],
            about["commit"],
            f"{min(loads):.1f} to {max(loads):.1f}" if loads else "",
        )


def _machine(about: Mapping[str, Any]) -> str:
    named = {name: about[name] for name in ("kafka-python", "librdkafka")} | about["peers"]
    versions = ", ".join(f"{name} {found}" for name, found in named.items())
    return (
        f"{about['cores']} cores of {about['cpu']}, Python {about['python']}, ONNX Runtime "
        f"{about['onnxruntime']}, {versions}."
    )


def _systems(content: Content, having: str, columns: Sequence[str]) -> Iterator[str]:
    """Write the medians of the systems that have a figure."""
    found = [
        (name, system, one)
        for name, told in content.items()
        for system, one in told["systems"].items()
        if having in one["medians"]
    ]
    if found:
        yield from _head("benchmark", "system", "rounds", *(_COLUMNS[key][0] for key in columns))
    before = ""
    for name, system, one in found:
        medians = one["medians"]
        cells = [_COLUMNS[key][1].format(medians[key]) if key in medians else "" for key in columns]
        yield _row("" if name == before else name, system, len(one["rounds"]), *cells)
        before = name


def _asked(content: Content) -> Iterator[str]:
    """Write what is asked beside what was found."""
    lines = [(name, line) for name, told in content.items() for line in told["asked"]]
    if lines:
        yield from _head("benchmark", "figure", "asked", "median", "range", "rounds", "")
    for name, line in lines:
        rounds = line["rounds"]
        yield _row(
            name,
            line["what"],
            line["asked"],
            f"{line['figure']:.3g}",
            f"{min(rounds):.3g} to {max(rounds):.3g}",
            len(rounds),
            "holds" if line["holds"] else "no",
        )


def _failures(content: Content) -> Iterator[str]:
    for name, told in content.items():
        for system, reasons in told["failed"].items():
            yield f"- {name}, {system} failed: {'; '.join(reasons)}"


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*["---"] * len(names))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main(files: Sequence[str]) -> None:
    """Print one report of all files."""
    content: dict[str, Any] = {}
    for file in files or [str(RESULTS)]:
        try:
            content |= json.loads(Path(file).read_text())
        except FileNotFoundError:
            sys.exit(f"{file} is not there: python -m benchmarks")
    print(report(content))


if __name__ == "__main__":
    main(sys.argv[1:])
