"""A single-node Kafka in a command, a demo or a test."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from streamer.embedded.node import DataFolder, Node, new_cluster_id
from streamer.embedded.ports import free_ports, require_free
from streamer.embedded.properties import HOST, NodeSettings

_NODE_ID = 1
DEFAULT_PORT = 9092
DEFAULT_HEAP_MB = 384


class EmbeddedKafka:
    """Apache Kafka, one node, on this machine; `with` starts and stops it.

    Within the `with` it can be stopped or killed and started again, on the same port with the
    same records.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        data_dir: Path | None = None,
        heap_mb: int = DEFAULT_HEAP_MB,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the broker; nothing is started yet.

        Args:
            port: where clients connect; 0 for a free one.
            data_dir: where records are kept; if not given, in a temporary folder, until `close`.
            heap_mb: the JVM's heap, in MiB.
            properties: further settings of the server, named as Kafka names them.
            listeners: further listeners, on free ports: their protocol by their name.
        """
        self._port = port
        self._data_dir = data_dir
        self._heap_mb = heap_mb
        self._properties = dict(properties or {})
        self._protocols = dict(listeners or {})
        self._listeners: dict[str, tuple[str, int]] = {}
        self._temporary: Path | None = None
        self._folder: DataFolder | None = None
        self._node: Node | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients, once started."""
        return f"{HOST}:{self._port}"

    def address(self, listener: str) -> str:
        """Give the address of a further listener, once started."""
        return f"{HOST}:{self._listeners[listener][1]}"

    @property
    def pid(self) -> int:
        """The process id of Kafka; 0 before the first start."""
        return 0 if self._node is None else self._node.pid

    def start(self) -> None:
        """Start it and wait until it serves clients.

        Raises:
            ConfigError: the port or the data folder cannot be used.
            DownloadError: Kafka's jars cannot be fetched.
            BrokerError: Kafka does not start; the message ends with what it said.
        """
        try:
            if self._port:
                require_free(self._port)
            node = self._node = self._node or self._described()
            node.start(new_cluster_id(), remove=self._temporary)
            node.wait_ready()
        except BaseException:
            self.close()
            raise

    def require_running(self) -> None:
        """Check that Kafka has not ended by itself.

        Raises:
            BrokerError: it has; the message ends with what it said.
        """
        if self._node is not None:
            self._node.require_running()

    def stop(self) -> None:
        """Stop it in good order; `start` brings it back."""
        if self._node is not None:
            self._node.stop()

    def kill(self) -> None:
        """Stop it as a crash would; `start` brings it back."""
        if self._node is not None:
            self._node.kill()

    def close(self) -> None:
        """Stop it for good, and remove the records if their folder was a temporary one."""
        self.stop()
        self._node = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _described(self) -> Node:
        if self._data_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="streamer-broker-"))
        path = self._temporary or self._data_dir
        assert path is not None  # noqa: S101 - one of the two is set
        self._folder = DataFolder(path.absolute())
        controller, free, *more = free_ports(2 + len(self._protocols))
        self._port = self._port or free
        self._listeners = {
            name: (protocol, port)
            for (name, protocol), port in zip(self._protocols.items(), more, strict=True)
        }
        settings = NodeSettings(
            _NODE_ID,
            self._port,
            {_NODE_ID: controller},
            self._folder.logs,
            self._properties,
            self._listeners,
        )
        return Node(settings, self._folder, heap_mb=self._heap_mb)
