"""What a listener says to whoever comes in: TLS, proof of identity, a first request.

The client reports a wrong password, a missing authority and a missing certificate alike, as "unable
to bootstrap" after its whole timeout. Here the same steps are gone through once, in the open, and
what is refused is told at once.
"""

import socket
import ssl
import struct
from typing import Any

from kafka.net.sasl import get_sasl_mechanism

from streamer.config.settings import KafkaSettings

_TIMEOUT_S = 5.0
_METADATA, _SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 3, 17, 18, 36
_LARGEST_ANSWER = 2**24
_NUMBER_BYTES = 4
_MOST_ROUNDS = 8
_CLOSED = (ssl.SSLEOFError, struct.error, EOFError, ConnectionResetError, BrokenPipeError)


class RefusedError(Exception):
    """The listener lets nobody in with these settings; trying again changes nothing."""


def enter(kafka: KafkaSettings, host: str, port: int, proof: dict[str, Any]) -> None:
    """Go in as a client would.

    Args:
        kafka: how.
        host: the server's name.
        port: its port.
        proof: the client's settings for SASL.

    Raises:
        RefusedError: naming what was refused, and the setting.
        OSError: no connection, or one that is closed without a word, as a broker that stops does.
    """
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain:
        if not kafka.security_protocol.endswith("SSL"):
            _converse(plain, kafka, host, proof)
            return
        with _encrypted(kafka, plain, host) as safe:
            try:
                _converse(safe, kafka, host, proof)
            except (
                ssl.SSLError
            ) as error:  # TLS 1.3 refuses a client's certificate at the first read
                raise RefusedError(_tls_refusal(error, kafka)) from error


def _encrypted(kafka: KafkaSettings, plain: socket.socket, host: str) -> ssl.SSLSocket:
    try:
        return _context(kafka).wrap_socket(plain, server_hostname=host)
    except _CLOSED as error:
        told = "the connection is closed during the TLS handshake; has this listener TLS?"
        raise ConnectionError(f"{told} (kafka.security_protocol)") from error
    except ssl.SSLError as error:
        raise RefusedError(_tls_refusal(error, kafka)) from error


def _context(kafka: KafkaSettings) -> ssl.SSLContext:
    cafile = str(kafka.ssl_cafile) if kafka.ssl_cafile else None
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(f"kafka.ssl_cafile: {cafile} holds no certificates: {error}") from error
    context.check_hostname = kafka.ssl_check_hostname
    if kafka.ssl_certfile is not None:
        password = kafka.ssl_password.get_secret_value() if kafka.ssl_password else ""
        try:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password)
        except (OSError, ssl.SSLError) as error:
            told = getattr(error, "reason", None) or error
            names = "kafka.ssl_certfile, ssl_keyfile, ssl_password"
            raise RefusedError(f"{names}: they don't fit each other: {told}") from error
    return context


def _tls_refusal(error: ssl.SSLError, kafka: KafkaSettings) -> str:
    reason = str(error.reason or error)
    if isinstance(error, ssl.SSLCertVerificationError):
        told = f"the broker's certificate is not trusted: {error.verify_message}"
        if "match" in error.verify_message:
            return f"{told} (connect by a name in the certificate, or kafka.ssl_check_hostname)"
        given = "names another authority" if kafka.ssl_cafile else "is not set"
        return f"{told} (kafka.ssl_cafile {given})"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"TLS: {reason}: the broker asks for a client's certificate (kafka.ssl_certfile)"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return f"TLS: {reason}: the broker refuses the certificate of kafka.ssl_certfile"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return f"TLS: {reason}: this listener has no TLS (kafka.security_protocol)"
    return f"TLS: {reason}"


def _converse(
    connection: socket.socket, kafka: KafkaSettings, host: str, proof: dict[str, Any]
) -> None:
    """Ask what the broker can do, prove who we are, and ask something that needs the proof."""
    try:
        _asked(connection, _API_VERSIONS, 0, b"")
    except _CLOSED as error:
        told = "the connection is closed without an answer; does this listener ask for TLS?"
        raise ConnectionError(f"{told} (kafka.security_protocol)") from error
    try:
        if kafka.security_protocol.startswith("SASL"):
            _prove(connection, kafka, host, proof)
        _asked(connection, _METADATA, 1, struct.pack(">i", 0))
    except _CLOSED as error:
        told = "the broker closes the connection"
        if not kafka.security_protocol.startswith("SASL"):
            told += "; does this listener ask for SASL?"
        raise ConnectionError(f"{told} (kafka.security_protocol)") from error


def _prove(
    connection: socket.socket, kafka: KafkaSettings, host: str, proof: dict[str, Any]
) -> None:
    name = kafka.sasl_mechanism or ""
    answer = _asked(connection, _SASL_HANDSHAKE, 1, _text(name.encode()))
    (code, count) = struct.unpack_from(">hi", answer)
    if code:
        offered = ", ".join(_texts(answer, 6, count)) or "none: this listener has no SASL"
        told = f"the broker does not take {name}; it offers {offered}"
        raise RefusedError(f"{told} (kafka.sasl_mechanism)")
    mechanism = get_sasl_mechanism(name)(host=host, **proof)
    for _ in range(_MOST_ROUNDS):
        if mechanism.is_done():
            return
        given = mechanism.auth_bytes()
        content = struct.pack(">i", len(given)) + given
        answer = _asked(connection, _SASL_AUTHENTICATE, 0, content)
        code, length = struct.unpack_from(">hh", answer)
        if code:
            message = answer[4 : 4 + max(length, 0)].decode(errors="replace")
            raise RefusedError(_identity_refusal(name, message))
        at = 4 + max(length, 0)
        (size,) = struct.unpack_from(">i", answer, at)
        try:
            mechanism.receive(answer[at + 4 : at + 4 + max(size, 0)])
        except ValueError as error:  # the broker does not know the password either
            raise RefusedError(_identity_refusal(name, str(error))) from error


def _identity_refusal(mechanism: str, message: str) -> str:
    keys = "sasl_plain_username, sasl_plain_password"
    if mechanism == "OAUTHBEARER":
        keys = "its issuer, audience, scope and clock; oauth_…"
    return f"the broker refuses this identity: {message or 'no reason given'} (kafka.{keys})"


def _asked(connection: socket.socket, key: int, version: int, content: bytes) -> bytes:
    """Send a request, and give its answer behind the correlation id."""
    head = struct.pack(">hhi", key, version, key) + _text(b"streamer")
    connection.sendall(struct.pack(">i", len(head) + len(content)) + head + content)
    (length,) = struct.unpack(">i", _exactly(connection, _NUMBER_BYTES))
    if not _NUMBER_BYTES <= length <= _LARGEST_ANSWER:
        raise EOFError("no answer in Kafka's protocol")
    return _exactly(connection, length)[_NUMBER_BYTES:]


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


def _texts(answer: bytes, at: int, count: int) -> list[str]:
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        found.append(answer[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return found


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise EOFError("the connection was closed")
        received += chunk
    return received
