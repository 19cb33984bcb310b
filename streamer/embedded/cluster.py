"""Several nodes on this machine, to see what a client does when one of them fails."""

import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from streamer.embedded.node import DataFolder, Node, new_cluster_id
from streamer.embedded.ports import free_ports
from streamer.embedded.properties import HOST, NodeSettings

_HEAP_MB = 256

_QUICK_TO_NOTICE = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
}


class EmbeddedCluster:
    """Nodes that are broker and controller each, numbered from 1, in a temporary folder."""

    def __init__(
        self, nodes: int = 3, heap_mb: int = _HEAP_MB, properties: Mapping[str, str] | None = None
    ) -> None:
        """Describe the cluster; nothing is started yet.

        Args:
            nodes: how many.
            heap_mb: the heap of each, in MiB.
            properties: further settings of every node, named as Kafka names them.
        """
        self._ids = range(1, nodes + 1)
        self._heap_mb = heap_mb
        self._properties = _QUICK_TO_NOTICE | dict(properties or {})
        self._cluster_id = new_cluster_id()
        self._root: Path | None = None
        self._folders: list[DataFolder] = []
        self.nodes: dict[int, Node] = {}
        """The nodes by id: `start_node` starts one again; they stop, kill, pause and resume."""

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes, for clients."""
        ports = (node.settings.port for node in self.nodes.values())
        return ",".join(f"{HOST}:{port}" for port in ports)

    def start(self) -> None:
        """Start all nodes and wait until each serves clients.

        Raises:
            DownloadError: Kafka's jars cannot be fetched.
            BrokerError: a node does not start; the message ends with what it said.
        """
        try:
            self._describe()
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                # All at once: a node is ready when most of the others are there too.
                list(pool.map(self.start_node, self.nodes))
        except BaseException:
            self.close()
            raise

    def start_node(self, node_id: int) -> None:
        """Start one node again and wait until it serves clients."""
        self.nodes[node_id].start(self._cluster_id, remove=self._root)
        self.nodes[node_id].wait_ready()

    def close(self) -> None:
        """End all nodes and remove their records."""
        for node in self.nodes.values():
            node.kill()
        for folder in self._folders:
            folder.close()
        self._folders.clear()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _describe(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="streamer-cluster-"))
        ports = free_ports(2 * len(self._ids))
        clients = dict(zip(self._ids, ports, strict=False))
        controllers = dict(zip(self._ids, ports[len(self._ids) :], strict=True))
        for node_id in self._ids:
            folder = DataFolder(self._root / f"node-{node_id}")
            self._folders.append(folder)
            settings = NodeSettings(
                node_id, clients[node_id], controllers, folder.logs, self._properties
            )
            self.nodes[node_id] = Node(settings, folder, heap_mb=self._heap_mb)
