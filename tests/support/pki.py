"""Certificates for brokers and clients of a test, and an authorisation server."""

import base64
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from support.web import Answers, LocalServer

_KEY = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "an authority", ends: datetime | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._ends = ends or datetime.now(UTC) + timedelta(days=30)
        self._certificate = (
            self._builder(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
        """Write its own certificate."""
        path.write_bytes(self.pem)
        return path

    def issue(
        self, folder: Path, name: str, hosts: Sequence[str] = (), password: str = ""
    ) -> tuple[Path, Path]:
        """Write a certificate and its key; give both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, self._certificate.subject.rfc4514_string()[3:], key)
        if hosts:
            names = [
                x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
                for host in hosts
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        hidden = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        files = folder / f"{name}.crt", folder / f"{name}.key"
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(*_KEY, hidden))
        return files

    def _builder(self, name: str, issuer: str, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(self._ends)
        )


class TokenServer(LocalServer):
    """An authorisation server: client credentials in, signed tokens out, its keys for the broker.

    Attributes:
        life_s: how long its tokens live.
        given: how many it has given.
    """

    def __init__(self, clients: dict[str, str], life_s: int = 300) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._clients = clients
        self.life_s = life_s
        self.given = 0
        self.scopes: list[str] = []
        outer = self

        class Handler(Answers):
            def do_GET(self) -> None:
                self._say(200, outer.keys())

            def do_POST(self) -> None:
                form = parse_qs(self.body().decode())
                given = base64.b64decode(self.headers["authorization"].split()[1]).decode()
                client, _, secret = given.partition(":")
                if outer._clients.get(client) != secret:
                    told = {"error": "invalid_client", "error_description": "who is that?"}
                    self._say(401, told)
                    return
                outer.given += 1
                outer.scopes += form.get("scope", [])
                token = outer.token(client)
                self._say(200, {"access_token": token, "expires_in": outer.life_s})

            def _say(self, status: int, content: dict[str, Any]) -> None:
                self.answer(status, json.dumps(content).encode())

        super().__init__(Handler)

    def token(self, subject: str, issuer: str | None = None) -> str:
        """Sign a token."""
        now = int(time.time())
        claims = {
            "iss": issuer or self.url,
            "aud": "kafka",
            "sub": subject,
            "iat": now,
            "exp": now + self.life_s,
        }
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        signed = b".".join(_coded(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + _coded(signature)).decode()

    def keys(self) -> dict[str, Any]:
        """Give the public key as JWKS."""
        numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "kid": "one",
                    "use": "sig",
                    "alg": "RS256",
                    "n": _coded(numbers.n.to_bytes(256)).decode(),
                    "e": _coded(numbers.e.to_bytes(3)).decode(),
                }
            ]
        }


def _coded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
