"""`streamer tail`."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def tail(
    topic: Annotated[
        str, typer.Argument(help="Topic of predictions or dead letters.", show_default=False)
    ],
    *,
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for other programs.")
    ] = False,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write each prediction's picture there, with boxes and labels drawn in; the "
            "pictures are read from the source topic.",
        ),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest record, not the next.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N.")] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="End when nothing came for so long, as in 10s."),
    ] = None,
) -> None:
    """Show predictions, or dead letters, as they come."""
    from streamer.operate.tail import Tailing, tail_topic

    tailing = Tailing(
        topic=topic,
        as_json=as_json,
        draw=draw,
        from_beginning=from_beginning,
        limit=limit,
        timeout=timeout,
    )
    raise typer.Exit(tail_topic(tailing, opened(config, clients="CRITICAL")))
