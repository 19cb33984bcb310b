"""Options and arguments that several commands take, and how their settings are opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamer.config import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file with settings; the environment (STREAMER_…) and .env go before it.",
    ),
]
TopologyFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE…",
        help="Topology files (YAML): what is read, which models answer, where answers go. "
        "`streamer spec --topology-schema` tells every key.",
        show_default=False,
    ),
]


def opened(config: Path | None, *, clients: str = "WARNING", **overrides: Any) -> "Settings":
    """Read the settings and set logging up by them.

    Args:
        config: the file given with `--config`.
        clients: least severity of what the Kafka client may tell; a command that reports by
            itself what went wrong takes CRITICAL.
        overrides: sections that the command line itself gives.
    """
    from streamer.config import load_settings
    from streamer.telemetry import configure

    settings = load_settings(config, **overrides)
    configure(settings.log.format, settings.log.level, clients=clients)
    return settings
