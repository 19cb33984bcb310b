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
    table.add_column("topic")
    for column in ("in", "answered", "dead letters", "records/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    table.add_column("batches (mean items)")
    sent = Counter(sample.topic for sample in samples)
    for topic, outcome in collector.outcomes.items():
        [topology] = [t for t in status["topologies"].values() if topic in t["topics"]]
        letters = ", ".join(f"{n} {reason}" for reason, n in sorted(outcome.deadletters.items()))
        batches = ", ".join(
            f"{step} {number} ({topology['batch_items_mean'][step]:.1f})"
            for step, number in topology["batches"].items()
        )
        table.add_row(
            topic,
            str(sent.get(topic) or topology["records_consumed"]),
            str(outcome.answered),
            letters or "0",
            f"{outcome.total / took:.0f}",
            f"{outcome.latency(0.50) * 1000:.0f}",
            f"{outcome.latency(0.99) * 1000:.0f}",
            batches,
        )
    return table


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
