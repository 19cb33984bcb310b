"""When certificates end: read from PEM files, which whoever renews them writes anew."""

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from streamer.config.settings import KafkaSettings

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0


def certificates(kafka: KafkaSettings) -> dict[str, Callable[[], float]]:
    """Give, for each certificate in use, what tells when it ends: files change meanwhile."""
    files = {"ca": kafka.ssl_cafile, "client": kafka.ssl_certfile}
    return {name: partial(ends_or_nan, path) for name, path in files.items() if path is not None}


def ends(path: Path) -> float:
    """Give the time at which the first of a file's certificates ends, in seconds since 1970.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate.
    """
    found = [_not_after(base64.b64decode(text)) for text in _PEM.findall(path.read_bytes())]
    if not found:
        message = f"{path} holds no certificate in PEM"
        raise ValueError(message)
    return min(found)


def ends_or_nan(path: Path) -> float:
    """Give the same for a gauge: not a number where it cannot be told."""
    try:
        return ends(path)
    except (OSError, ValueError):
        return float("nan")


def _not_after(der: bytes) -> float:
    """Read Certificate.tbsCertificate.validity.notAfter (RFC 5280, 4.1)."""
    try:
        [(_, certificate)] = _parts(der)
        _, to_be_signed = next(_parts(certificate))
        fields = [part for part in _parts(to_be_signed) if part[0] != _VERSION]
        # serial number, signature, issuer, validity
        _, (kind, text) = _parts(fields[3][1])
    except (IndexError, ValueError, StopIteration) as error:
        message = "what stands between the lines of PEM is no certificate"
        raise ValueError(message) from error
    years = "%y" if kind == _UTC_TIME else "%Y"
    when = datetime.strptime(text.decode("ascii"), f"{years}%m%d%H%M%SZ")  # noqa: DTZ007
    return when.replace(tzinfo=UTC).timestamp()


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tag and content of each element, one level deep."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count]), at + count
        if at + length > len(der):
            message = "an element is longer than what holds it"
            raise ValueError(message)
        yield tag, der[at : at + length]
        at += length
