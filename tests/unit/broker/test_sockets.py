import socket

from kafka.net.inet import KafkaNetSocket

from streamer.broker.connection import client_settings
from streamer.broker.sockets import DIRECT
from streamer.config.settings import KafkaSettings


def test_more_is_read_at_a_time_than_the_client_asks_for():
    address = client_settings(KafkaSettings())["proxy_url"]
    assert address == DIRECT
    ours, other = socket.socketpair()
    with KafkaNetSocket(address).socket(socket.AF_UNIX, socket.SOCK_STREAM, 0) as made, ours, other:
        assert isinstance(made, socket.socket)
        made.close()
        one = type(made)(fileno=ours.detach())
        with one:
            other.sendall(b"x" * 50_000)
            assert len(one.recv(4096)) > 4096
            other.close()
            while one.recv(4096):
                pass  # and the end is told as ever: by nothing
