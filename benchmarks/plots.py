"""Bars of what `python -m benchmarks` wrote: `python -m benchmarks.plots [RESULTS] [FOLDER]`.

Needs matplotlib, which `python -m benchmarks.environments plots` installs.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_DRAWN = (
    ("rate", "records a second", "{:,.0f}"),
    ("p99_ms", "p99, ms", "{:,.0f}"),
)


def main(results: str = "build/benchmarks/results.json", folder: str = "docs") -> None:
    """Draw one figure a benchmark, `performance-NAME.svg`."""
    content = json.loads(Path(results).read_text())
    for name, told in content["results"].items():
        for figure, words, shown in _DRAWN:
            systems = {
                system: found
                for system, found in told["systems"].items()
                if figure in found["medians"]
            }
            if systems:
                drawn = _bars(
                    f"{name}: {words} (median and range of rounds)", systems, figure, shown
                )
                slug = "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
                drawn.savefig(Path(folder) / f"performance-{slug}.svg")
                break


def _bars(title: str, systems: Mapping[str, Any], figure: str, shown: str) -> Figure:
    drawn = Figure(figsize=(7, 0.4 * len(systems) + 1), layout="constrained")
    axes = drawn.subplots()
    medians = [one["medians"][figure] for one in systems.values()]
    rounds = [[turn[figure] for turn in one["rounds"]] for one in systems.values()]
    reach = [
        [middle - min(found) for middle, found in zip(medians, rounds, strict=True)],
        [max(found) - middle for middle, found in zip(medians, rounds, strict=True)],
    ]
    colours = [
        "C0" if system.startswith(("streamer", "exactly", "at-least")) else "C7"
        for system in systems
    ]
    bars = axes.barh(list(systems), medians, xerr=reach, color=colours, ecolor="0.3")
    axes.bar_label(bars, [shown.format(one) for one in medians], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel(title)
    return drawn


if __name__ == "__main__":
    main(*sys.argv[1:])
