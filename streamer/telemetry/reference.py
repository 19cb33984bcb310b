"""The reference page of the metrics, made from what the code registers.

`python -m streamer.telemetry.reference docs` writes it; a test compares what is there.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from streamer.telemetry.durations import BOUNDS
from streamer.telemetry.families import Families
from streamer.telemetry.metrics import Metrics
from streamer.telemetry.retraining import RetrainingMetrics

_NOTE = "<!-- made by `python -m streamer.telemetry.reference docs`; edit the code instead -->"
_PAGE = f"""# Metrics

{_NOTE}

`/metrics` answers Prometheus' text format, or OpenMetrics to whoever asks for it. Names begin with
`streamer_`, units are base units (seconds, bytes, ratios from 0 to 1). Beside these there are the
process's own families of the Prometheus client: `process_…` (CPU, memory, files) and `python_…`.

Labels have few values: names of topologies, steps, models and their versions, stages, fixed
reasons, the partitions that the process reads. No label comes from a record. Of a model that is
replaced, the series of the version before stay until the next replacement.

Counters of a topology are there from the start, as 0, but for predictions and dead letters, whose
series begin with the first one. A histogram has the series `_bucket`,
`_count` and `_sum`; `streamer_record_duration_seconds` has these buckets, in seconds:
{{bounds}}.

The dashboards and alerts made of them are in `helm/streamer/`; what to do when an alert comes is in
[runbooks](runbooks/).

| metric | kind | labels | what |
| --- | --- | --- | --- |
"""
_SIDECAR = """

The sidecar (`streamer retrain`) has these at its own `/metrics`:

| metric | kind | labels | what |
| --- | --- | --- | --- |
"""
_VALUES: Mapping[str, str] = {
    "step": "the topology's step; with `model:` at the top its task, or `predict` where that is "
    "left out",
    "stage": "of durations: a thread of the line (`decode`, `decoded`, `batch-STEP`, `infer-STEP`, "
    "`encode`, `publish`); of dead letters: `decode`, `preprocess`, `infer`, `postprocess`, "
    "`encode`, `produce`",
    "reason": "of dead letters: the slug that is in their header too; of batches: `full` (the "
    "bound of items), `cost` (of padded tokens or pixels) or `wave` (no more records were there)",
    "outcome": "`committed` or `aborted`",
    "certificate": "`ca` or `client`",
    "wanted": "the device that was asked for",
}


def _rows(families: Families) -> list[str]:
    return [
        f"| `{family.name}` | {family.kind} | {', '.join(family.labels)} | {family.text} |"
        for family in families.made
    ]


def metrics_page() -> str:
    """Write the reference of the metrics."""
    rows = _rows(Metrics().families)
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS)
    values = [f"- `{label}`: {text}." for label, text in _VALUES.items()]
    page = _PAGE.format(bounds=bounds) + "\n".join(rows)
    page += _SIDECAR + "\n".join(_rows(RetrainingMetrics().families))
    return page + "\n\nWhat some labels say:\n\n" + "\n".join(values) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    (folder / "metrics.md").write_text(metrics_page(), encoding="utf-8")
