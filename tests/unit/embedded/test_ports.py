import socket

import pytest

from streamer.embedded.ports import free_ports, require_free
from streamer.errors import ConfigError


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_refused_by_its_number(taken):
    with pytest.raises(ConfigError, match=f"port {taken} .* another process listens"):
        require_free(taken)


def test_free_ports_differ_and_can_be_listened_on():
    ports = free_ports(6)
    assert len(set(ports)) == 6
    for port in ports:
        require_free(port)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
