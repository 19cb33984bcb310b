"""`streamer dashboard` and `streamer top`."""

from typing import Annotated, Any

import typer

from streamer.cli.early import ends_when_told
from streamer.cli.options import Config, opened

Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URL…",
        help="Addresses of daemons and sidecars, as in http://host:8080; dns+http://NAME:8080 "
        "stands for every address of NAME. Daemons of registered models are also found by the "
        "events topic. If none is given: http://127.0.0.1:8080.",
        show_default=False,
    ),
]
_HERE = "http://127.0.0.1:8080"


def dashboard(
    urls: Urls = None,
    *,
    host: Annotated[
        str | None, typer.Option(help="Address listened on; 0.0.0.0 for all.  [default: 127.0.0.1]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port listened on.  [default: 8090]")] = None,
    discover: Annotated[
        bool | None,
        typer.Option("--discover/--no-discover", help="Look for daemons on the events topic."),
    ] = None,
    config: Config = None,
) -> None:
    """Serve the live page: rates, lag, latencies, results, dead letters, versions, runs.

    The page shows records to whoever reaches it. Replaying dead letters from it is off unless
    STREAMER_DASHBOARD__REPLAY_TOKEN (or …_FILE) is set.
    """
    ends_when_told()
    from streamer.dashboard import run_dashboard

    given = {"host": host, "port": port, "discover": discover}
    settings = opened(config, clients="CRITICAL", **_section(given))
    raise typer.Exit(run_dashboard(settings, urls or [_HERE]))


def top(
    urls: Urls = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    discover: Annotated[
        bool | None,
        typer.Option("--discover/--no-discover", help="Look for daemons on the events topic."),
    ] = None,
    config: Config = None,
) -> None:
    """Show what daemons do, in the terminal: rates, lag, latencies, dead letters, versions.

    Ctrl-C ends it.
    """
    from streamer.dashboard.top import run_top

    settings = opened(config, clients="CRITICAL", **_section({"discover": discover}))
    raise typer.Exit(run_top(settings, urls or [_HERE], once=once))


def _section(given: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in given.items() if value is not None}
    return {"dashboard": told} if told else {}
