"""kafka-python's connections, closed by the thread that reads from them."""

from kafka.net.compat import KafkaNetClient


class NetClient(KafkaNetClient):  # type: ignore[misc] # kafka-python has no types
    """Closes connections on the loop that reads from them, where one runs in a thread of its own.

    kafka-python closes them from the caller's thread. A connection that has just been found
    readable loses its socket then between that and the read, which logs a traceback.
    """

    def close(self, node_id: int | None = None) -> None:
        """Close the connection to a node, or all of them with the loop."""
        loop = self._net._io_thread  # noqa: SLF001 - it has no public word for it
        if loop is not None and loop.is_alive():
            self._net.run(self._manager.close, node_id)
        super().close(node_id)
