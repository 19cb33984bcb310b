"""Bars of what `python -m benchmarks` wrote: `python -m benchmarks.plots [RESULTS] [FOLDER]`.

Needs matplotlib, which `python -m benchmarks.environments plots` installs. Letters stay letters and
the ground is clear, so that a figure is small and suits light and dark pages.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_DRAWN = (
    ("rate", "records a second", "{:,.0f}"),
    ("p99_ms", "p99 in ms", "{:,.0f}"),
)
_OURS, _FLOOR, _OTHERS, _INK = "#2f81d6", "#b08a2e", "#8a8f98", "#808690"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "streamer",
    "font.family": "sans-serif",
    "font.size": 11,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "axes.edgecolor": _INK,
    **{f"axes.spines.{side}": False for side in ("top", "right", "left")},
}


def main(results: str = "build/benchmarks/results.json", folder: str = "docs/images") -> None:
    """Draw one figure a benchmark, `performance-NAME.svg`."""
    content = json.loads(Path(results).read_text())
    Path(folder).mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update(_STYLE)
    for name, told in content.items():
        for figure, words, shown in _DRAWN:
            systems = {
                system: found
                for system, found in told["systems"].items()
                if figure in found["medians"]
            }
            if systems:
                title = f"{name}: {words}, median and range of rounds"
                drawn = _bars(title, systems, figure, shown)
                slug = "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
                file = Path(folder) / f"performance-{slug}.svg"
                drawn.savefig(file, transparent=True, metadata={"Date": None})
                break


def _bars(title: str, systems: Mapping[str, Any], figure: str, shown: str) -> Figure:
    drawn = Figure(figsize=(7.5, 0.36 * len(systems) + 0.9), layout="constrained")
    axes = drawn.subplots()
    medians = [one["medians"][figure] for one in systems.values()]
    rounds = [[turn[figure] for turn in one["rounds"]] for one in systems.values()]
    reach = [
        [middle - min(found) for middle, found in zip(medians, rounds, strict=True)],
        [max(found) - middle for middle, found in zip(medians, rounds, strict=True)],
    ]
    colours = [_colour(system) for system in systems]
    error = {"ecolor": _INK, "capsize": 3, "elinewidth": 1.2}
    bars = axes.barh(list(systems), medians, xerr=reach, color=colours, height=0.62, error_kw=error)
    axes.bar_label(bars, [shown.format(one) for one in medians], padding=6)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, fontsize=11, loc="left")
    return drawn


def _colour(system: str) -> str:
    if system.startswith(("streamer", "exactly", "at-least", "backlog", "librdkafka")):
        return _OURS
    return _FLOOR if system.startswith(("raw", "bare")) else _OTHERS


if __name__ == "__main__":
    main(*sys.argv[1:])
