"""What was measured, as a table, as JSON, and as settings to paste."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from streamer.bench.decoding import Decoding
from streamer.bench.line import Passed
from streamer.bench.raw import Plan
from streamer.bench.whole import Ran
from streamer.config import Topology
from streamer.pipeline.assembly import Assembly
from streamer.runtime import usable_cores

_CLEARLY = 1.05
_BUSY = 0.8


@dataclass(frozen=True)
class Measured:
    """All figures of one topology.

    Attributes:
        plans: by step, the best way found to run its model alone.
        per_record: by step, the inputs that a record comes to (crops, pairs).
        line: the line without Kafka.
        whole: by guarantee, the whole pipe; empty if it was left out.
        decoding: exact decoding of pictures beside scaled decoding, or a GPU's.
    """

    topology: Topology
    assembly: Assembly
    plans: Mapping[str, Plan]
    per_record: Mapping[str, float]
    line: Passed
    whole: Mapping[str, Ran]
    decoding: Decoding | None = None

    @property
    def raw_rate(self) -> float:
        """Records a second that the models reach one after the other, each at its best."""
        seconds = sum(self.per_record[name] / plan.rate for name, plan in self.plans.items())
        return 1 / seconds if seconds else 0.0

    @property
    def current(self) -> Mapping[str, str]:
        """By step, how its model is run now."""
        return {step.name: step.model.champion.described() for step in self.assembly.steps}


def as_content(measured: Measured) -> dict[str, Any]:
    """Give the figures for programs."""
    line = measured.line
    return {
        "topology": measured.topology.name,
        "cores": usable_cores(),
        "raw": {
            "records_per_second": measured.raw_rate,
            "steps": {name: asdict(plan) for name, plan in measured.plans.items()},
        },
        "line": {
            "records": line.records,
            "rejected": line.rejected,
            "records_per_second": line.rate,
            "of_raw": line.rate / measured.raw_rate if measured.raw_rate else None,
            "stages": {
                name: {"worked_seconds": worked, "waited_seconds": line.stages.queued[name]}
                for name, worked in line.stages.worked.items()
            },
        },
        "whole": {
            delivery: {
                "records_per_second": ran.rate,
                "of_raw": ran.rate / measured.raw_rate if measured.raw_rate else None,
                "idle_seconds": ran.idle_s,
            }
            for delivery, ran in measured.whole.items()
        },
        "decoding": asdict(measured.decoding) if measured.decoding else None,
        "suggested": list(suggested(measured)),
    }


def shown(measured: Measured, console: Console) -> None:
    """Print the figures for people."""
    rates = Table("", "records/s", "of raw", box=None, pad_edge=False)
    for name, plan in measured.plans.items():
        rates.add_row(f"model of {name} alone ({plan})", f"{plan.rate:,.0f}", "")
    rates.add_row("raw: all models, in memory", f"{measured.raw_rate:,.0f}", "1.00")
    rates.add_row(
        "line without Kafka", f"{measured.line.rate:,.0f}", _share(measured, measured.line.rate)
    )
    for delivery, ran in measured.whole.items():
        rates.add_row(f"whole pipe, {delivery}", f"{ran.rate:,.0f}", _share(measured, ran.rate))
    console.print(rates)
    for delivery, ran in measured.whole.items():
        console.print(f"one record, idle, {delivery}: {ran.idle_s * 1000:.1f} ms")
    if measured.decoding is not None:
        found = measured.decoding
        console.print(
            f"source.images.decode: exact {found.exact_ms:.1f} ms a picture, {found.way} "
            f"{found.other_ms:.1f} ms; {found.way} changes {found.effect.changed:.1%} of the first "
            f"labels, numbers by {found.effect.difference:.2g} on average"
        )
    stages = Table("stage", "busy", "ms a record", box=None, pad_edge=False)
    for name, worked in measured.line.stages.worked.items():
        busy, each = worked / measured.line.seconds, worked / measured.line.records * 1000
        stages.add_row(name, f"{busy:.0%}", f"{each:.3f}")
    console.print("\nWhere the line's time goes (stages work side by side):")
    console.print(stages)
    if measured.line.rejected:
        console.print(
            f"{measured.line.rejected} records were rejected; the first: {measured.line.why}"
        )
    lines = list(suggested(measured))
    console.print(
        "\n" + ("Suggested:" if lines else "Nothing to change: the settings are the best found.")
    )
    for line in lines:
        console.print(line)


def suggested(measured: Measured) -> Iterator[str]:
    """Give lines for the topology and the environment that would be faster."""
    worked = measured.line.stages.worked
    inferring = max((worked[f"infer-{step}"] for step in measured.plans), default=0.0)
    if worked["decoded"] > inferring and worked["decoded"] > _BUSY * measured.line.seconds:
        pictures = measured.assembly.kind == "image"
        yield (
            "# decoding is the limit: smaller pictures at the producer, or more cores"
            if pictures
            else "# tokenising is the limit: more cores"
        )
    elif measured.line.rate * _CLEARLY < measured.raw_rate:
        changed = dict(_changed(measured))
        if changed:
            yield "models:"
        for name, lines in changed.items():
            yield f"  {name}:"
            yield from lines


def _changed(measured: Measured) -> Iterator[tuple[str, list[str]]]:
    """Give, by model, the settings under which it alone was faster than as it is run now."""
    for step in measured.assembly.steps:
        plan = measured.plans.get(step.name)
        if plan is None:
            continue
        version, ref = step.model.champion, step.model.ref
        lines = []
        if plan.sessions != len(version.sessions):
            lines += [f"    sessions: {plan.sessions}", f"    threads: {plan.threads}"]
        if plan.items not in (version.bounds.items, ref.batch.max_size):
            lines.append(f"    batch: {{max_size: {plan.items}}}")
        if lines:
            yield measured.topology.steps[step.name].model, lines


def _share(measured: Measured, rate: float) -> str:
    return f"{rate / measured.raw_rate:.2f}" if measured.raw_rate else ""
