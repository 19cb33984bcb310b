"""The server.properties of an embedded node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"

_MAX_RECORD_BYTES = 32 * 1024 * 1024

_SMALL = {
    # Records as large as a photo straight from a camera.
    "message.max.bytes": str(_MAX_RECORD_BYTES),
    "replica.fetch.max.bytes": str(_MAX_RECORD_BYTES),
    "auto.create.topics.enable": "false",
    # A group's first member starts at once; Kafka's own default waits 3 s for others.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # The cleaner's buffer is 128 MiB by default, a third of the heap.
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "log.segment.delete.delay.ms": "1000",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


@dataclass(frozen=True)
class NodeSettings:
    """What sets one node apart, and what its cluster shares."""

    node_id: int
    port: int
    controllers: Mapping[int, int]
    """Port of the controller of each node, by node id, this node's among them."""
    log_dir: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further settings, named as Kafka names them; they win over the ones here."""
    listeners: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Further listeners: protocol and port by name."""


def server_properties(settings: NodeSettings) -> dict[str, str]:
    """Return the settings of a node that is broker and controller in one."""
    controller = settings.controllers[settings.node_id]
    voters = (f"{node}@{HOST}:{port}" for node, port in settings.controllers.items())
    copies = min(3, len(settings.controllers))
    own = {"PLAINTEXT": ("PLAINTEXT", settings.port), **settings.listeners}
    clients = ",".join(f"{name}://{HOST}:{port}" for name, (_, port) in own.items())
    protocols = ",".join(f"{name}:{protocol}" for name, (protocol, _) in own.items())
    return {
        "process.roles": "broker,controller",
        "node.id": str(settings.node_id),
        "listeners": f"{clients},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(voters),
        "log.dirs": str(settings.log_dir),
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(max(1, copies - 1)),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(max(1, copies - 1)),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(max(1, copies - 1)),
        **_SMALL,
        **settings.extra,
    }


def rendered(properties: Mapping[str, str]) -> str:
    """Write settings as Java's Properties.load reads them."""
    return "".join(f"{_escaped(key)}={_escaped(value)}\n" for key, value in properties.items())


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    leading = len(escaped) - len(escaped.lstrip(" "))
    return "".join(map(_latin, "\\ " * leading + escaped[leading:]))


def _latin(character: str) -> str:
    # Java reads the file as Latin-1, and other characters as their UTF-16 code units.
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
