"""Bars of what `python -m benchmarks` wrote: `python -m benchmarks.plots [RESULTS] [FOLDER]`.

Needs matplotlib, which `python -m benchmarks.environments plots` installs.
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure


def main(results: str = "build/benchmarks/results.json", folder: str = "docs") -> None:
    """Draw one figure a benchmark, `performance-NAME.svg`."""
    content = json.loads(Path(results).read_text())
    for name, systems in content["results"].items():
        figure = Figure(figsize=(7, 0.5 * len(systems) + 1), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(list(systems), [told["rate"] for told in systems.values()])
        axes.bar_label(bars, [f"{told['ratio']:.2f}" for told in systems.values()], padding=3)
        axes.invert_yaxis()
        axes.set_xlabel(f"{name}: records a second (ratio to the first, median of rounds)")
        figure.savefig(Path(folder) / f"performance-{name}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
