"""How much of everything a rate of records takes: a model of a few measured figures; pure."""

from dataclasses import dataclass, field
from math import ceil

_REQUESTS_PER_REPLICA = 40.0
"""Fetches, produces, commits and heartbeats a second of a busy replica."""


@dataclass(frozen=True)
class Workload:
    """What comes in, and what goes out.

    Attributes:
        rate: records a second, at the peak.
        bytes_in: of a record, key and headers included.
        bytes_out: of its prediction.
        partitions_now: of the topic as it is; 0 if it is yet to be made.
        outage_s: after such an outage the backlog is to be worked off within `catch_up_s`.
    """

    rate: float
    bytes_in: float
    bytes_out: float
    partitions_now: int = 0
    outage_s: float = 600.0
    catch_up_s: float = 3600.0


@dataclass(frozen=True)
class Replica:
    """What one process does.

    Attributes:
        model_rate: records a second that its models do, whatever device they are on.
        line_rate: records a second that the line does with a model of no cost: what the
            interpreter and the Kafka client allow.
        efficiency: share of the slower of the two that the whole pipe reaches.
        gpu: whether it takes a GPU.
        commit_interval_s: seconds between its transactions or commits.
    """

    model_rate: float
    line_rate: float = 8000.0
    efficiency: float = 0.9
    gpu: bool = False
    commit_interval_s: float = 0.1

    @property
    def rate(self) -> float:
        """Records a second of the whole pipe."""
        return self.efficiency * min(self.model_rate, self.line_rate)


@dataclass(frozen=True)
class Cluster:
    """What a broker takes; cautious figures for three brokers on ordinary disks and networks.

    Attributes:
        replication: copies of each record.
        broker_bytes: bytes a second that one broker writes, its own and others' copies.
        partition_bytes: bytes a second that one partition carries.
        broker_partitions: partition copies that one broker holds.
        broker_requests: requests a second that one broker answers.
        retention_s: how long records are kept.
    """

    replication: int = 3
    broker_bytes: float = 80e6
    partition_bytes: float = 5e6
    broker_partitions: int = 4000
    broker_requests: float = 20_000.0
    retention_s: float = 24 * 3600.0


@dataclass(frozen=True)
class Capacity:
    """What is needed; bytes are bytes a second.

    Attributes:
        limit: what limits a replica: `model`, `interpreter`.
        utilisation: of the replicas at the peak.
        catches_up_s: how long the backlog of the outage takes.
    """

    replicas: int
    partitions: int
    gpus: int
    replica_rate: float
    limit: str
    utilisation: float
    catches_up_s: float
    network_in: float
    network_out: float
    broker_write: float
    broker_read: float
    disk_bytes: float
    requests: float
    transactions: float
    brokers: int
    notes: tuple[str, ...] = field(default=())


def capacity(
    work: Workload, replica: Replica, cluster: Cluster | None = None, *, busy: float = 0.7
) -> Capacity:
    """Compute what a workload takes.

    Args:
        work: records and their sizes.
        replica: one process.
        cluster: the brokers; the cautious figures if left out.
        busy: share of the replicas' rate that the peak may take.
    """
    cluster = cluster or Cluster()
    # work left over from the outage comes on top of what goes on coming
    burst = work.rate * (1 + work.outage_s / work.catch_up_s)
    replicas = max(ceil(work.rate / (busy * replica.rate)), ceil(burst / replica.rate), 1)
    spare = replicas * replica.rate - work.rate
    rate_in, rate_out = work.rate * work.bytes_in, work.rate * work.bytes_out
    wanted = max(
        2 * replicas, ceil(max(rate_in, rate_out) / cluster.partition_bytes), work.partitions_now
    )
    written = (rate_in + rate_out) * cluster.replication
    read = rate_in + rate_out + (rate_in + rate_out) * (cluster.replication - 1)
    requests = replicas * _REQUESTS_PER_REPLICA
    copies = 2 * wanted * cluster.replication
    brokers = max(
        cluster.replication,
        ceil(written / cluster.broker_bytes),
        ceil(copies / cluster.broker_partitions),
        ceil(requests / cluster.broker_requests),
    )
    return Capacity(
        replicas=replicas,
        partitions=wanted,
        gpus=replicas if replica.gpu else 0,
        replica_rate=replica.rate,
        limit="model" if replica.model_rate <= replica.line_rate else "interpreter",
        utilisation=work.rate / (replicas * replica.rate),
        catches_up_s=work.rate * work.outage_s / spare if spare > 0 else float("inf"),
        network_in=rate_in,
        network_out=rate_out,
        broker_write=written,
        broker_read=read,
        disk_bytes=written * cluster.retention_s,
        requests=requests,
        transactions=replicas / replica.commit_interval_s,
        brokers=brokers,
        notes=tuple(_notes(work, replica, replicas, wanted)),
    )


def _notes(work: Workload, replica: Replica, replicas: int, partitions: int) -> list[str]:
    """Say what an operator should know besides the figures."""
    found = []
    if 0 < work.partitions_now < replicas:
        found.append(
            f"the topic has {work.partitions_now} partitions: more replicas than that stay idle; "
            f"{partitions} are meant here, and keys move to other partitions when they are added"
        )
    if replica.line_rate < replica.model_rate:
        found.append(
            "the interpreter is the limit, not the model: more processes "
            "(`streamer run --processes N`, or replicas) help, a faster device does not"
        )
    return found
