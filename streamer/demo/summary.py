"""The demo's table: what went in, what came out, how fast."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from streamer.demo.collect import Collector
from streamer.demo.traffic import Sample


def summary(
    collector: Collector, samples: Sequence[Sample], status: dict[str, Any], took: float
) -> Table:
    """Lay out what came back, a row an input topic."""
    table = Table(title="streamer demo", title_justify="left")
    table.add_column("topic", no_wrap=True)
    for column in ("in", "answered", "dead", "rec/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    sent = Counter(sample.topic for sample in samples)
    for topic, outcome in collector.outcomes.items():
        [topology] = [t for t in status["topologies"].values() if topic in t["topics"]]
        table.add_row(
            topic,
            str(sent.get(topic) or topology["records_consumed"]),
            str(outcome.answered),
            str(sum(outcome.deadletters.values())),
            f"{outcome.total / took:.0f}",
            f"{outcome.latency(0.50) * 1000:.0f}",
            f"{outcome.latency(0.99) * 1000:.0f}",
        )
    return table


def details(collector: Collector, status: dict[str, Any]) -> str:
    """Say how large batches were, and which dead letters came, by reason."""
    batches = ", ".join(
        f"{step} {number} of {topology['batch_items_mean'][step]:.1f} items"
        for topology in status["topologies"].values()
        for step, number in topology["batches"].items()
    )
    lines = [
        f"  {topic}: {count} x {reason}"
        for topic, outcome in collector.outcomes.items()
        for reason, count in sorted(outcome.deadletters.items())
    ]
    letters = "\n".join(["dead letters, by reason:", *lines]) if lines else "no dead letters"
    return f"batches: {batches}\n{letters}"


def totals(collector: Collector, samples: Sequence[Sample], console: Console) -> int:
    """Say whether every record was answered as it should be; give the exit code."""
    bad = Counter(sample.topic for sample in samples if sample.bad)
    wrong = []
    if collector.missing:
        wrong.append(f"{collector.missing} records were not answered")
    if collector.doubled:
        wrong.append(f"{collector.doubled} records were answered more than once")
    for topic, outcome in collector.outcomes.items():
        letters = sum(outcome.deadletters.values())
        if letters != bad[topic]:
            wrong.append(f"{topic}: {letters} dead letters, {bad[topic]} were made on purpose")
    if wrong:
        console.print("[red]not as it should be:[/red] " + "; ".join(wrong))
        return 1
    good = len(samples) - sum(bad.values())
    console.print(
        f"[green]every record came back exactly once:[/green] {good} predictions, "
        f"{sum(bad.values())} dead letters on purpose"
    )
    return 0
