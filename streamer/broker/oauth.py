"""Tokens for OAUTHBEARER: asked for at an authorisation server, or read from a file."""

import base64
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 2**20
# A token is asked for anew when this share of its life is over: a late refresh can be tried again.
_FRESH_FOR = 0.8
_LIFE_IF_UNTOLD_S = 60.0


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc] # the client ships no types
    """Asks for tokens by OAuth's client-credentials grant (RFC 6749, 4.4)."""

    def __init__(self, kafka: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._kafka = kafka
        self._clock = clock
        self._lock = Lock()
        self._token = ""
        self._old_at = 0.0

    def token(self) -> str:
        """Give a token that is still good; every connection asks, few ask the server.

        Raises:
            BrokerError: the server gives none; it may later.
        """
        with self._lock:
            if not self._token or self._clock() >= self._old_at:
                asked_at = self._clock()
                answer = self._asked()
                life = float(answer.get("expires_in") or _LIFE_IF_UNTOLD_S)
                self._token, self._old_at = (
                    str(answer["access_token"]),
                    asked_at + life * _FRESH_FOR,
                )
            return self._token

    def _asked(self) -> dict[str, Any]:
        kafka = self._kafka
        url = kafka.oauth_token_url or ""
        secret = kafka.oauth_client_secret.get_secret_value() if kafka.oauth_client_secret else ""
        quoted = (
            urllib.parse.quote(part, safe="") for part in (kafka.oauth_client_id or "", secret)
        )
        form = {"grant_type": "client_credentials"}
        if kafka.oauth_scope:
            form["scope"] = kafka.oauth_scope
        request = urllib.request.Request(  # noqa: S310 - the settings allow https, or this machine
            url,
            urllib.parse.urlencode(form).encode(),
            {
                "authorization": f"Basic {base64.b64encode(':'.join(quoted).encode()).decode()}",
                "accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=_TIMEOUT_S, context=self._trust()
            ) as answer:
                told = json.loads(answer.read(_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                told_instead = error.read(_ANSWER_BYTES).decode(errors="replace")
            raise _no_token(url, f"{error.code} {error.reason}: {_reason(told_instead)}") from None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", None) or error
            raise _no_token(url, str(cause)) from error
        if not isinstance(told, dict) or not told.get("access_token"):
            raise _no_token(url, "the answer has no access_token")
        return told

    def _trust(self) -> ssl.SSLContext | None:
        if self._kafka.oauth_cafile is None:
            return None
        return ssl.create_default_context(cafile=str(self._kafka.oauth_cafile))


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """Reads a token that somebody else renews, such as Kubernetes' projected ones."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def token(self) -> str:
        """Give what the file holds now.

        Raises:
            BrokerError: it cannot be read, or is empty.
        """
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _no_token(str(self._path), str(getattr(error, "strerror", error))) from error
        if not token:
            raise _no_token(str(self._path), "the file is empty")
        return token


@cache
def token_provider(kafka: KafkaSettings) -> AbstractTokenProvider:
    """Give the settings' provider: one for all connections of the process."""
    if kafka.oauth_token_file is not None:
        return TokenFile(kafka.oauth_token_file)
    return ClientCredentials(kafka)


def _no_token(where: str, reason: str) -> BrokerError:
    return BrokerError(f"no OAuth token from {where}: {reason}", retriable=True)


def _reason(answer: str) -> str:
    """Take the error out of an answer as RFC 6749, 5.2 has it; never the request's own words."""
    try:
        told = json.loads(answer)
        parts = (str(told[key]) for key in ("error", "error_description") if told.get(key))
        return ", ".join(parts) or "no reason given"
    except (ValueError, AttributeError, TypeError):
        return "no reason given"
