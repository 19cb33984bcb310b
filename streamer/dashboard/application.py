"""The page and what it asks for."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamer.dashboard.results import Results

_HEADERS = {
    "cache-control": "no-store",
    # Everything the page needs is in it; it loads nothing from elsewhere and runs in no frame.
    "content-security-policy": "default-src 'none'; img-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def page_application(results: Results, status: Callable[[], dict[str, Any]]) -> Starlette:
    """Put the page together.

    Args:
        results: the latest results.
        status: what the daemon says of itself; an error of it is shown, not raised.
    """
    page = (files("streamer.dashboard") / "page.html").read_text(encoding="utf-8")

    def shown_page(_: Request) -> Response:
        return Response(page, headers=_HEADERS, media_type="text/html")

    def shown_state(_: Request) -> Response:
        content: dict[str, Any] = results.state()
        try:
            content["status"] = status()
        except Exception as error:  # noqa: BLE001 - the page stays readable when a daemon is gone
            content["error"] = f"the daemon does not answer: {error}"
        return Response(json.dumps(content), headers=_HEADERS, media_type="application/json")

    def shown_picture(request: Request) -> Response:
        image = results.image(int(request.path_params["number"]))
        if image is None:
            return Response("no longer kept", 404, headers=_HEADERS)
        return Response(image, headers=_HEADERS, media_type="image/jpeg")

    return Starlette(
        routes=[
            Route("/", shown_page),
            Route("/state", shown_state),
            Route("/picture/{number:int}", shown_picture),
        ]
    )
