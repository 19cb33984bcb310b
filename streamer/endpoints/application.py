"""What is answered at which path."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_PATHS = "/startupz\n/readyz\n/livez\n/metrics\n/status\n"
_OK, _UNAVAILABLE = 200, 503


class Health(Protocol):
    """How the process is: each answer is whether it is so, and if not why, in a few words."""

    def started(self) -> tuple[bool, str]:
        """Whether models are there and warm."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether the process is warm and a member of its groups."""
        ...

    def live(self) -> tuple[bool, str]:
        """Whether the line moves or is idle; if not, the process had better be restarted."""
        ...


def application(
    health: Health, registry: CollectorRegistry, status: Callable[[], dict[str, Any]]
) -> Starlette:
    """Put the paths together."""

    def shown_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    def shown_status(_: Request) -> Response:
        return _json(status())

    async def shown_paths(_: Request) -> Response:
        return PlainTextResponse(_PATHS)

    return Starlette(
        routes=[
            Route("/", shown_paths),
            Route("/startupz", _probe(health.started)),
            Route("/readyz", _probe(health.ready)),
            Route("/livez", _probe(health.live)),
            Route("/metrics", shown_metrics),
            Route("/status", shown_status),
        ]
    )


def _probe(ask: Callable[[], tuple[bool, str]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(_: Request) -> Response:
        try:
            well, reason = ask()
        except Exception as error:  # noqa: BLE001 - a probe that cannot tell tells that
            well, reason = False, f"unknown: {type(error).__name__}: {error}"
        content = {"ok": well, "reason": reason} if reason else {"ok": well}
        return _json(content, _OK if well else _UNAVAILABLE)

    return answered


def _json(content: dict[str, Any], status: int = _OK) -> Response:
    text = json.dumps(content, default=str, ensure_ascii=False, indent=2)
    return Response(
        text + "\n",
        status,
        headers={"content-type": "application/json", "cache-control": "no-store"},
    )
