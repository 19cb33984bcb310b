"""`streamer run` and `streamer check`."""

from typing import Annotated

import typer

from streamer.cli.early import ends_when_told
from streamer.cli.options import Config, TopologyFiles, opened


def run(
    files: TopologyFiles,
    *,
    processes: Annotated[
        int,
        typer.Option(
            min=1, max=256, help="Daemons side by side in one group, where Python is the limit."
        ),
    ] = 1,
    config: Config = None,
) -> None:
    """Run the daemon: read topics, ask models, write predictions, until it is told to stop.

    The first SIGINT or SIGTERM finishes and commits what is in flight, the second stops at once.
    """
    ends_when_told()
    if processes > 1:
        from streamer.pipeline.processes import run_processes

        raise typer.Exit(run_processes(files, opened(config), config, processes))
    from streamer.pipeline import run_topologies

    code = run_topologies(files, opened(config))
    raise typer.Exit(code)


def check(
    files: TopologyFiles,
    config: Config = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also look at the topics and what may be done there.")
    ] = False,
) -> None:
    """Check topologies, their models and settings; nothing is consumed, nothing changed."""
    from streamer.pipeline import check_topologies

    for finding in check_topologies(files, opened(config), connect=connect):
        typer.echo(finding)
