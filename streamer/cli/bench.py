"""`streamer bench`."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def bench(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A topology file.", show_default=False)
    ],
    *,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="What records are made of, as for `streamer send`; made-up ones if left out.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds for each part of the measurement, roughly.")
    ] = 5.0,
    kafka: Annotated[
        bool, typer.Option("--kafka/--no-kafka", help="Whether the whole pipe is measured too.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
    config: Config = None,
) -> None:
    """Measure a topology here: its models alone, the line, the whole pipe on a Kafka of its own.

    Shows where the time goes and suggests settings. No topic of yours is touched.
    """
    from streamer.bench import Benching
    from streamer.bench import bench as benched

    benching = Benching(
        file=file, inputs=tuple(inputs or ()), seconds=seconds, kafka=kafka, as_json=as_json
    )
    raise typer.Exit(benched(benching, opened(config, clients="CRITICAL")))
