"""`streamer spec`."""

import json
from pathlib import Path
from typing import Annotated

import typer


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
) -> None:
    """Print schemas: of topology files, or of what a topology writes."""
    if topology_schema:
        from streamer.config import topology_schema as schema_of_topologies

        document = schema_of_topologies()
    elif file is None:
        raise typer.BadParameter("name a topology file, or ask for --topology-schema")
    elif json_schema:
        from streamer.config import load_topology
        from streamer.operate.spec import prediction_schema

        document = prediction_schema(load_topology(file))
    else:
        raise typer.BadParameter("say which: --topology-schema or --json-schema")
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
