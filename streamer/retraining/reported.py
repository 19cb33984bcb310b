"""The files of a run's report, written before its version is, and completed after."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from streamer.retraining.place import Place
from streamer.retraining.report import NOT_REGISTERED, html_report, written
from streamer.retraining.runs import Run
from streamer.retraining.trial import Trial


def write_report(place: Place, run: Run, told: Mapping[str, Any], trial: Trial | None) -> None:
    """Write the report: one for programs, one for people."""
    place.write(f"{run.folder}/report.json", written(dict(told)))
    place.write(f"{run.folder}/report.html", html_report(told, trial).encode())


def name_version(place: Place, run: Run) -> Run:
    """Put the version that a run became into its report; give the run."""
    content = place.read(f"{run.folder}/report.json")
    page = place.read(f"{run.folder}/report.html")
    if content is not None and page is not None:
        named = page.decode().replace(
            f"<td>{NOT_REGISTERED}<", f"<td>{escape(str(run.version))}<", 1
        )
        place.write(f"{run.folder}/report.html", named.encode())
        told = {**json.loads(content), "version": run.version}
        place.write(f"{run.folder}/report.json", written(told))
    return run
