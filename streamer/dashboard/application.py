"""The page, what it asks for, and the one thing it can do."""

import hmac
import importlib.util
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamer.errors import StreamerError

_HEADERS = {
    "cache-control": "no-store",
    # Everything the page needs comes from here; it runs in no frame, and nothing in it is a script
    # that was not in the package.
    "content-security-policy": "default-src 'none'; img-src 'self'; connect-src 'self'; "
    "style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_OWN = {
    "graph.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "page.css": "text/css",
    "page.js": "text/javascript",
}
_CHARTS = {"uPlot.iife.js": "text/javascript", "uPlot.min.css": "text/css"}
_NO_CHARTS = {"uPlot.iife.js": "// charts are not installed: pip install 'streamer[dashboard]'\n"}
_MOST_BYTES = 4096

Replay = Callable[[str, str | None], tuple[Mapping[str, int], bool]]
"""Sends the dead letters of a topic, perhaps of one reason only, on their way; counts by topic."""


class Shown(Protocol):
    """What the page shows."""

    def state(self, since: float = 0.0) -> dict[str, Any]:
        """Give all of it; of the charts what is newer."""

    def image(self, number: int) -> bytes | None:
        """Give a drawn picture."""

    @property
    def letter_topics(self) -> set[str]:
        """The topics whose dead letters may be replayed."""


def page_application(
    board: Shown, token: str | None = None, replay: Replay | None = None
) -> Starlette:
    """Put the page together.

    Args:
        board: what is shown.
        token: who shows it may replay; None: nobody may.
        replay: does it.
    """
    actions = Actions(board, token, replay)
    page = _own("page.html")

    def shown_page(_: Request) -> Response:
        return Response(page, headers=_HEADERS, media_type="text/html")

    def shown_file(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name in _OWN:
            return Response(_own(name), headers=_HEADERS, media_type=_OWN[name])
        if name in _CHARTS:
            return Response(chart_file(name), headers=_HEADERS, media_type=_CHARTS[name])
        return Response("no such file", 404, headers=_HEADERS)

    def shown_state(request: Request) -> Response:
        try:
            since = float(request.query_params.get("since", "0"))
        except ValueError:
            since = 0.0
        state = {**board.state(since), "replay": actions.possible}
        return _json(state)

    def shown_picture(request: Request) -> Response:
        image = board.image(int(request.path_params["number"]))
        if image is None:
            return Response("no longer kept", 404, headers=_HEADERS)
        return Response(image, headers=_HEADERS, media_type="image/jpeg")

    return Starlette(
        routes=[
            Route("/", shown_page),
            Route("/file/{name}", shown_file),
            Route("/state", shown_state),
            Route("/picture/{number:int}", shown_picture),
            Route("/replay", actions.replay, methods=["POST"]),
        ]
    )


class Actions:
    """What visitors may do, if they show the token."""

    def __init__(self, board: Shown, token: str | None, replay: Replay | None) -> None:
        self._board = board
        self._token = token
        self._replay = replay
        self._one_at_a_time = Lock()
        self._log = structlog.get_logger("page")

    @property
    def possible(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._token) and self._replay is not None

    async def replay(self, request: Request) -> Response:
        """Replay the dead letters of a topic; the body names it, and perhaps a reason."""
        replay = self._replay
        if not self.possible or replay is None:
            return _json({"error": "replaying is off (STREAMER_DASHBOARD__REPLAY_TOKEN)"}, 403)
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(shown.encode(), str(self._token).encode()):
            self._log.warning("a replay was asked for without the token")
            return _json({"error": "the token is wrong"}, 401)
        try:
            body = await request.body()
            asked = json.loads(body[:_MOST_BYTES])
            topic, reason = str(asked["topic"]), asked.get("reason")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _json({"error": 'write {"topic": "…", "reason": "…"}'}, 400)
        if topic not in self._board.letter_topics:
            return _json({"error": f"'{topic}' is no topic of dead letters shown here"}, 404)
        return await run_in_threadpool(self._replayed, replay, topic, reason)

    def _replayed(self, replay: Replay, topic: str, reason: str | None) -> Response:
        if not self._one_at_a_time.acquire(blocking=False):
            return _json({"error": "another replay is going on"}, 409)
        try:
            counts, more = replay(topic, str(reason) if reason else None)
        except StreamerError as error:
            return _json({"error": str(error)}, 502)
        finally:
            self._one_at_a_time.release()
        self._log.info("dead letters were replayed from the page", topic=topic, counts=counts)
        return _json({"replayed": dict(counts), "more": more})


def chart_file(name: str) -> str:
    """Read a file of the chart library; without the library, what says so."""
    found = importlib.util.find_spec("uplot")  # not imported: it brings a shell
    if found is None or not found.submodule_search_locations:
        return _NO_CHARTS.get(name, "")
    return (Path(found.submodule_search_locations[0]) / "static" / name).read_text("utf-8")


def _own(name: str) -> str:
    return (files("streamer.dashboard") / "static" / name).read_text(encoding="utf-8")


def _json(content: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, default=str)
    return Response(text, status, headers=_HEADERS, media_type="application/json")
