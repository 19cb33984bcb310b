"""A schema registry that speaks Confluent's REST interface (Apicurio, Karapace and Redpanda do)."""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from math import inf
from threading import Lock
from typing import Any
from urllib.parse import quote

import structlog

from streamer.config.settings import RegistrySettings
from streamer.errors import BrokerError, ConfigError, DecodeError

_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_S = 10.0
_LONGEST_WAIT_S = 5.0
_NOT_FOUND = 404
_NOT_ALLOWED = (401, 403, 407)
_ASK_AGAIN_S = 60.0
_MOST_MISSING = 10_000
_MAY_COME_BACK = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Schema:
    """A schema as the registry keeps it: `kind` is AVRO, JSON or PROTOBUF."""

    kind: str
    text: str
    references: tuple[tuple[str, str, int], ...] = ()
    """Name, subject and version of what it builds on."""


class Registry:
    """Asks a registry; what has an id never changes, and is asked for once."""

    def __init__(
        self,
        settings: RegistrySettings,
        stopping: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        *,
        patience: float = inf,
    ) -> None:
        """Prepare to ask; `stopping`, or seconds of `patience`, end the waiting for an answer.

        Raises:
            ConfigError: no address is set.
        """
        if settings.url is None:
            told = "schema_registry.url: this topology's formats need it"
            raise ConfigError(f"{told} (STREAMER_SCHEMA_REGISTRY__URL)")
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._stopping = stopping
        self._sleep = sleep
        self._patience = patience
        self._log = structlog.get_logger("schemas")
        self._known: dict[int, Schema] = {}
        self._missing: dict[int, float] = {}
        self._lock = Lock()

    def schema(self, schema_id: int) -> Schema:
        """Give the schema of an id; a registry that is away is waited for.

        Raises:
            DecodeError: `unknown-schema`: the registry does not know it.
            BrokerError: it does not let us read, or we are to stop.
        """
        with self._lock:
            found = self._known.get(schema_id)
            if found is None:
                found = self._known[schema_id] = self._fetched(schema_id)
            return found

    def version(self, subject: str, version: int) -> Schema:
        """Give a version of a subject: what another schema refers to; raises as `schema` does."""
        path = f"/subjects/{quote(subject, safe='')}/versions/{version}"
        return self.schema(int(self._told(path, f"version {version} of {subject}")["id"]))

    def register(self, subject: str, kind: str, text: str) -> int:
        """Register a schema, or find it, under a subject; give its id.

        Raises:
            ConfigError: the registry refuses it, or it may not be registered and is not there.
        """
        content: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            content["schemaType"] = kind
        path = f"/subjects/{quote(subject, safe='')}"
        try:
            if self._settings.register_schemas:
                return int(self._patiently("POST", f"{path}/versions", content)["id"])
            return int(self._patiently("POST", path, content)["id"])
        except _RefusedError as error:
            told = f"the schema registry refuses the schema of {subject}: {error}"
            raise ConfigError(f"{told} (schema_registry.register_schemas)") from error

    def _fetched(self, schema_id: int) -> Schema:
        if time.monotonic() < self._missing.get(schema_id, 0.0):
            raise DecodeError(f"schema {schema_id} is unknown", reason="unknown-schema")
        try:
            told = self._told(f"/schemas/ids/{schema_id}", f"schema {schema_id}")
        except DecodeError:
            if len(self._missing) >= _MOST_MISSING:
                self._missing.clear()
            self._missing[schema_id] = time.monotonic() + _ASK_AGAIN_S
            raise
        references = tuple(
            (str(one["name"]), str(one["subject"]), int(one["version"]))
            for one in told.get("references") or ()
        )
        return Schema(told.get("schemaType") or "AVRO", told["schema"], references)

    def _told(self, path: str, what: str) -> Any:
        """Read what a record asks for: a refusal that is not about it must not cost it."""
        try:
            return self._patiently("GET", path)
        except _RefusedError as error:
            if error.status in _NOT_ALLOWED:
                told = f"the schema registry {self._url} refuses to show {what}: {error}"
                hint = "(schema_registry.username and password)"
                raise BrokerError(f"{told} {hint}", retriable=False) from error
            told = f"the schema registry has not {what}: {error}"
            raise DecodeError(told, reason="unknown-schema") from error

    def _patiently(self, method: str, path: str, content: Any = None) -> Any:
        """Ask until there is an answer: an outage must not turn records into dead letters."""
        delay, began = 0.2, time.monotonic()
        while True:
            try:
                return self._asked(method, path, content)
            except _RefusedError as error:
                if error.status not in _MAY_COME_BACK:
                    raise
                reason = str(error)
            except (OSError, ValueError, HTTPException) as error:  # away, or cut off in the middle
                reason = str(getattr(error, "reason", None) or error)
            if self._stopping() or time.monotonic() - began > self._patience:
                told = f"the schema registry {self._url} does not answer: {reason}"
                raise BrokerError(told, retriable=True)
            self._log.warning("the schema registry does not answer", url=self._url, error=reason)
            self._sleep(delay)
            delay = min(delay * 2, _LONGEST_WAIT_S)

    def _asked(self, method: str, path: str, content: Any) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310 - an operator's setting
            self._url + path, body, self._headers(), method=method
        )
        cafile = self._settings.cafile
        trust = ssl.create_default_context(cafile=str(cafile)) if cafile else None
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=_TIMEOUT_S, context=trust
            ) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                told = error.read().decode(errors="replace")[:500]
            raise _RefusedError(error.code, told) from None

    def _headers(self) -> dict[str, str]:
        headers = {"accept": _TYPE, "content-type": _TYPE}
        settings = self._settings
        if settings.username is not None:
            password = settings.password.get_secret_value() if settings.password else ""
            proof = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
            headers["authorization"] = f"Basic {proof}"
        return headers


class _RefusedError(Exception):
    """The registry answers, and refuses."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(f"{status} {told}")
        self.status = status
