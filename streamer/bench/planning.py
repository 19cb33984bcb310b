"""`streamer plan`: what a topology needs at a rate, from figures measured or given."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from streamer.bench.capacity import Capacity, Cluster, Replica, Workload, capacity
from streamer.bench.command import Benching, measured
from streamer.config import Settings, Topology, load_topology
from streamer.errors import ConfigError

_PREDICTION_BYTES = 400.0


@dataclass(frozen=True)
class Planning:
    """What is planned for.

    Attributes:
        file: a topology.
        rate: records a second at the peak.
        bytes_in: of a record.
        bytes_out: of a prediction.
        model_ms: what the models take for a record on one replica; measured here if None.
        bench: JSON of `streamer bench`, taken on the machines that are planned for.
        gpu: whether a replica takes a GPU.
        partitions: of the topic as it is.
        replication: copies of each record.
        busy: share of the replicas' capacity that the peak may take.
        as_json: whether to print JSON.
    """

    file: Path
    rate: float
    bytes_in: float
    bytes_out: float = _PREDICTION_BYTES
    model_ms: float | None = None
    bench: Path | None = None
    gpu: bool = False
    partitions: int = 0
    replication: int = 3
    busy: float = 0.7
    as_json: bool = False


def plan(planning: Planning, settings: Settings) -> int:
    """Print what is needed; give the exit code.

    Raises:
        ConfigError: the topology or the figures are wrong.
    """
    topology = load_topology(planning.file)
    replica = _replica(planning, topology, settings)
    work = Workload(
        planning.rate, planning.bytes_in, planning.bytes_out, partitions_now=planning.partitions
    )
    cluster = Cluster(replication=planning.replication)
    needed = capacity(work, replica, cluster, busy=planning.busy)
    if planning.as_json:
        content = {"workload": asdict(work), "replica": asdict(replica), "needed": asdict(needed)}
        print(json.dumps(content, indent=2))  # noqa: T201 - the command's output
    else:
        _show(work, needed, Console(soft_wrap=True, highlight=False))
    return 0


def _replica(planning: Planning, topology: Topology, settings: Settings) -> Replica:
    """Take the figures of one process from what is given, or measure them here.

    Raises:
        ConfigError: they are given twice, or are none.
    """
    if planning.model_ms is not None and planning.bench is not None:
        raise ConfigError("--model-ms and --bench say the same: give one of them")
    common: dict[str, Any] = {"gpu": planning.gpu, "commit_interval_s": topology.commit_interval}
    if planning.model_ms is not None:
        return Replica(model_rate=1000 / planning.model_ms, **common)
    if planning.bench is not None:
        return _of_bench(planning.bench, topology.delivery, common)
    found = measured(Benching(planning.file, seconds=2.0, kafka=False), settings, topology)
    share = min(found.line.rate / found.raw_rate, 1.0) if found.raw_rate else 1.0
    return Replica(model_rate=found.raw_rate, efficiency=max(min(share, 0.95), 0.05), **common)


def _of_bench(file: Path, delivery: str, common: Mapping[str, Any]) -> Replica:
    """Read what `streamer bench --json` wrote.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        raw = float(content["raw"]["records_per_second"])
        whole = (content["whole"] or {}).get(delivery) or content["line"]
        share = float(whole["records_per_second"]) / min(raw, Replica.line_rate)
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"--bench: {file} is no output of `streamer bench --json`") from error
    return Replica(model_rate=raw, efficiency=max(min(share, 1.0), 0.05), **common)


def _show(work: Workload, needed: Capacity, console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    rows = {
        "records a second, at the peak": f"{work.rate:,.0f}",
        "records a second of a replica": f"{needed.replica_rate:,.0f} (limit: {needed.limit})",
        "replicas": f"{needed.replicas:,} ({needed.utilisation:.0%} busy at the peak)",
        "partitions": f"{needed.partitions:,}",
        "GPUs": f"{needed.gpus:,}",
        "10 minutes of backlog are gone in": f"{needed.catches_up_s / 60:,.0f} min",
        "network, in and out": f"{_mb(needed.network_in)} + {_mb(needed.network_out)}",
        "brokers write, with copies": _mb(needed.broker_write),
        "brokers send, with copies": _mb(needed.broker_read),
        "requests a second": f"{needed.requests:,.0f}",
        "commits a second": f"{needed.transactions:,.0f}",
        "disk for a day": f"{needed.disk_bytes / 1e12:,.2f} TB",
        "brokers": f"{needed.brokers:,}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    for note in needed.notes:
        console.print(note)


def _mb(bytes_a_second: float) -> str:
    return f"{bytes_a_second / 1e6:,.1f} MB/s"
