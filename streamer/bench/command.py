"""`streamer bench`: measures one topology, shows where the time goes, suggests settings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from streamer.bench.decoding import decoding
from streamer.bench.line import Passed, inputs_of, passed
from streamer.bench.made import made_up, repeated
from streamer.bench.raw import Plan, best_plan
from streamer.bench.report import Measured, as_content, shown
from streamer.bench.whole import Ran, kafka_here, ran
from streamer.config import Settings, Topology, load_topology
from streamer.errors import ConfigError
from streamer.operate.entries import entries, found_files
from streamer.pipeline.assembly import Assembly, assembled
from streamer.pipeline.events import LineEvents
from streamer.pipeline.line import CostedPreparer
from streamer.pipeline.model import Models
from streamer.runtime import usable_cores
from streamer.telemetry import Metrics

_MOST_VALUES = 4096
_MOST_BYTES = 256 * 2**20
_LEAST_RECORDS = 64
_IDLE_RECORDS = 9


@dataclass(frozen=True)
class Benching:
    """What is to be measured.

    Attributes:
        file: a topology.
        inputs: files whose contents are the records; made-up records if there are none.
        seconds: for each part, roughly.
        kafka: whether the whole pipe is measured too.
        as_json: whether to print JSON.
    """

    file: Path
    inputs: tuple[Path, ...] = ()
    seconds: float = 5.0
    kafka: bool = True
    as_json: bool = False


def bench(benching: Benching, settings: Settings) -> int:
    """Measure and print; give the exit code: 1 if records of the user's own were rejected.

    Raises:
        ConfigError: the topology or a file is wrong.
        ModelError: a model does not load.
    """
    topology = load_topology(benching.file)
    found = measured(benching, settings, topology)
    if benching.as_json:
        print(json.dumps(as_content(found), indent=2))  # noqa: T201 - the command's output
    else:
        shown(found, Console(soft_wrap=True, highlight=False))
    return 1 if found.line.rejected else 0


def measured(benching: Benching, settings: Settings, topology: Topology) -> Measured:
    """Load a topology's models and measure.

    Raises:
        ConfigError: there are no records, or all of them are rejected.
        ModelError: a model does not load.
    """
    models = Models(settings.models)
    try:
        events = LineEvents(topology.name, Metrics())
        assembly = assembled(topology, benching.file, models, events)
        return _measured(benching, settings, topology, assembly)
    finally:
        models.close()


def _measured(
    benching: Benching,
    settings: Settings,
    topology: Topology,
    assembly: Assembly,
) -> Measured:
    values = _values(benching, topology, assembly)
    preparer = CostedPreparer(topology, assembly, settings)
    try:
        inputs, once = inputs_of(assembly, preparer, topology, values)
        if once.rejected == once.records:
            raise ConfigError(
                f"{benching.file}: every record is rejected; the first one: {once.why}"
            )
        plans = {
            step.name: best_plan(
                step.model.champion, step.model.ref, inputs[step.name], benching.seconds
            )
            for step in assembly.steps
            if inputs[step.name]
        }
        per_record = {name: len(inputs[name]) / once.records for name in plans}
        count = _count(plans, per_record, once, benching.seconds)
        backlog = repeated(values, count)
        line = passed(topology, assembly, preparer, backlog)
        decoded = decoding(topology, assembly, settings, values)
    finally:
        preparer.close()
    whole = _whole(topology, assembly, settings, backlog) if benching.kafka else {}
    return Measured(topology, assembly, plans, per_record, line, whole, decoded)


def _values(benching: Benching, topology: Topology, assembly: Assembly) -> Sequence[bytes]:
    """Read the user's records, or make some up."""
    if benching.inputs:
        found = entries(found_files(benching.inputs))
        values, size = [], 0
        for entry in islice(found, _MOST_VALUES):
            values.append(entry.value)
            size += len(entry.value)
            if size > _MOST_BYTES:
                break
        if not values:
            raise ConfigError("--input: there is no record in these files")
        return values
    if topology.source.format in ("avro", "protobuf", "json-schema", "cloudevents"):
        raise ConfigError(
            f"source.format: {topology.source.format} cannot be made up; give records with --input"
        )
    return made_up(assembly.kind, topology.source)


def _count(
    plans: dict[str, Plan], per_record: dict[str, float], once: Passed, seconds: float
) -> int:
    """Say how many records take so many seconds, by what they took one after the other."""
    alone = sum(per_record[name] / plan.rate for name, plan in plans.items())
    each = max(alone, once.seconds / once.records / usable_cores())
    return max(int(seconds / max(each, 1e-6)), _LEAST_RECORDS)


def _whole(
    topology: Topology, assembly: Assembly, settings: Settings, values: Sequence[bytes]
) -> dict[str, Ran]:
    """Measure both guarantees."""
    found = {}
    with kafka_here(settings) as here:
        for delivery in ("at-least-once", "exactly-once"):
            events = LineEvents(topology.name, Metrics())
            as_told = topology.model_copy(update={"delivery": delivery})
            found[delivery] = ran(as_told, assembly, here, events, values, _IDLE_RECORDS)
    return found
