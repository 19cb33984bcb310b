"""`streamer models quantize`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamer.cli.adding import Source, Task
from streamer.cli.options import Config, opened


def quantize(
    source: Source,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="New folder for the version.")],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="FILE",
            help="Records to compare on, as for `streamer send`; labelled ones (a field `label` or "
            "`score`, or a folder for each label) show what it does to accuracy.",
        ),
    ],
    task: Task = None,
    precision: Annotated[
        Literal["int8", "fp16"],
        typer.Option(help="What the twin computes in: `fp16` is for GPUs, whose answers it tells."),
    ] = "int8",
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
    config: Config = None,
) -> None:
    """Let a model compute in fewer bits as well (`precision`), and report the effect."""
    from streamer.operate.quantizing import Quantizing, quantize_model

    quantizing = Quantizing(source, to, tuple(data), task, precision, as_json)
    raise typer.Exit(quantize_model(quantizing, opened(config)))
