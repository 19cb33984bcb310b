"""`streamer models add` and `export`: models brought in from wherever they are."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened

TASK_HELP = (
    "What the model does, if its files do not say so, as in image-classification; a name that "
    "there is not tells all."
)
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A model file, a folder, hf:ORG/REPO@COMMIT, models:/NAME/VERSION, or a URL as in "
        "s3://bucket/folder.",
        show_default=False,
    ),
]
Task = Annotated[str | None, typer.Option(help=TASK_HELP)]


def add(
    source: Source,
    *,
    name: Annotated[
        str | None, typer.Option(help="Its name in the registry; its own if left out.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Its version there; the next number if left out.")
    ] = None,
    task: Task = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A model.yaml for a model that comes without one."),
    ] = None,
    golden: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Records whose answers are kept with the version, and asked for again before it "
            "serves; may be given several times.",
        ),
    ] = None,
    untried: Annotated[
        bool, typer.Option("--untried", help="Don't load it here to see that it runs.")
    ] = False,
    config: Config = None,
) -> None:
    """Bring a model into the registry: read what its files say, try it, keep it with checksums."""
    from streamer.operate.adding import Addition, add_model

    addition = Addition(
        source=source,
        name=name,
        version=version,
        task=task,
        manifest=manifest,
        golden=tuple(golden or ()),
        untried=untried,
    )
    raise typer.Exit(add_model(addition, opened(config)))


def export(
    source: Source,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="New folder for the ONNX model.")],
    *,
    task: Task = None,
    trainable: Annotated[
        bool, typer.Option("--trainable", help="Keep the weights beside it, to be learnt on.")
    ] = False,
    config: Config = None,
) -> None:
    """Export a folder of transformers or timm to ONNX, and compare the two on many batches."""
    from streamer.operate.exporting import export_model

    raise typer.Exit(export_model(source, to, task, opened(config), trainable=trainable))
