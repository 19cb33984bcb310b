"""`streamer plan`."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened

_MOST = 1e9


def plan(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A topology file.", show_default=False)
    ],
    *,
    rate: Annotated[
        float,
        typer.Option(
            min=0.001, max=_MOST, help="Records a second at the peak.", show_default=False
        ),
    ],
    record_bytes: Annotated[
        float,
        typer.Option(min=1, max=_MOST, help="Bytes of a record, key and headers included."),
    ] = 1000.0,
    prediction_bytes: Annotated[
        float, typer.Option(min=1, max=_MOST, help="Bytes of a prediction.")
    ] = 400.0,
    model_ms: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=_MOST,
            help="Milliseconds that a record takes on one replica; measured here if left out.",
        ),
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of --model-ms: what `streamer bench --json` said elsewhere.",
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="A replica takes a GPU.")] = False,
    partitions: Annotated[
        int, typer.Option(min=0, help="Partitions that the topic has already; 0: none yet.")
    ] = 0,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each record.")] = 3,
    busy: Annotated[
        float,
        typer.Option(min=0.05, max=1, help="Share of a replica's capacity that the peak may take."),
    ] = 0.7,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
    config: Config = None,
) -> None:
    """Compute what a rate of records takes: partitions, replicas, GPUs, network, brokers."""
    from streamer.bench.planning import Planning
    from streamer.bench.planning import plan as planned

    planning = Planning(
        file=file,
        rate=rate,
        bytes_in=record_bytes,
        bytes_out=prediction_bytes,
        model_ms=model_ms,
        bench=bench,
        gpu=gpu,
        partitions=partitions,
        replication=replication,
        busy=busy,
        as_json=as_json,
    )
    raise typer.Exit(planned(planning, opened(config, clients="CRITICAL")))
