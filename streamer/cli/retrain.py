"""`streamer retrain`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def retrain(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The sidecar's file (YAML).", show_default=False)
    ],
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Begin a run as soon as all labels are read.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="End after one run, or where none is due.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file, and end.")
    ] = False,
    config: Config = None,
) -> None:
    """Learn from a topic of labels, and bring what proves better into service.

    SIGUSR1 begins a run whatever the triggers say; SIGINT and SIGTERM end the sidecar.
    """
    if schema:
        from streamer.retraining.config import retrain_schema

        print(json.dumps(retrain_schema(), indent=2))
        return
    from streamer.retraining.sidecar import run_sidecar

    raise typer.Exit(run_sidecar(file.absolute(), opened(config), now=now, once=once))
