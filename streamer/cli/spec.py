"""`streamer spec`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def spec(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A topology file.", show_default=False)
    ] = None,
    topology_schema: Annotated[
        bool,
        typer.Option("--topology-schema", help="The JSON Schema of topology files, for editors."),
    ] = False,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="The JSON Schema of the topology's predictions.")
    ] = False,
    config: Config = None,
) -> None:
    """Print a topology's AsyncAPI document, or the JSON Schemas of its parts."""
    if topology_schema:
        from streamer.config import topology_schema as schema_of_topologies

        document = schema_of_topologies()
    elif file is None:
        raise typer.BadParameter("name a topology file, or ask for --topology-schema")
    else:
        from streamer.operate.spec import asyncapi, prediction_schema

        wanted = prediction_schema if json_schema else asyncapi
        document = wanted(file, opened(config).models)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
