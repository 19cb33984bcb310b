"""`streamer compare`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamer.cli.options import Config, opened


def compare(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A topology file.", show_default=False)
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME=VERSION",
            help="A model of the topology, and the version (or a path) that answers instead.",
            show_default=False,
        ),
    ],
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="Where the stretch begins: 30m, 2h, 1d ago, or a time: 2025-03-01T12:00.",
        ),
    ],
    until: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="WHEN", help="Where it ends, written likewise; now if left out."
        ),
    ] = None,
    against: Annotated[
        Literal["model", "published"],
        typer.Option(help="Compare with the version that serves, or with what was published."),
    ] = "model",
    examples: Annotated[
        int, typer.Option(min=0, help="Changes that the report shows at the most.")
    ] = 50,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Records that are answered at the most; all if left out."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the report goes; compare-TOPOLOGY-VERSION.html here if left out.",
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the same goes for programs; likewise."),
    ] = None,
    config: Config = None,
) -> None:
    """Answer a stretch of the topology's topics again with another version; report what changes.

    Nothing is written to Kafka and no position moves.
    """
    from streamer.operate.compare import Comparing
    from streamer.operate.compare import compare as compared

    comparing = Comparing(
        file=file,
        model=model,
        since=since,
        until=until,
        against=against,
        examples=examples,
        limit=limit,
        html=html,
        json=json,
    )
    raise typer.Exit(compared(comparing, opened(config, clients="CRITICAL")))
