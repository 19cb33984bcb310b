"""A broker whose clients come by a proxy, while those who look on have a way of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.proxy import Proxy
from streamer.embedded import EmbeddedKafka
from streamer.embedded.ports import free_ports

_HOST = "127.0.0.1"


@contextmanager
def proxied(folder: Path) -> Iterator[tuple[str, str, Proxy, EmbeddedKafka]]:
    """Start a broker with two listeners.

    Yields:
        Its own address, the address of the way through the proxy, the proxy, and the broker.
    """
    direct, hidden, controller, shown = free_ports(4)
    listeners = {"PLAINTEXT": direct, "PROXIED": hidden, "CONTROLLER": controller}
    properties = {
        "listeners": ",".join(f"{name}://{_HOST}:{port}" for name, port in listeners.items()),
        "advertised.listeners": f"PLAINTEXT://{_HOST}:{direct},PROXIED://{_HOST}:{shown}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@{_HOST}:{controller}",
    }
    with (
        Proxy(shown, hidden) as proxy,
        EmbeddedKafka(port=direct, data_dir=folder, properties=properties) as kafka,
    ):
        yield kafka.bootstrap_servers, f"{_HOST}:{shown}", proxy, kafka
