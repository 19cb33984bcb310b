"""`streamer models …`: what models there are, what one of them is, and what it says."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.adding import TASK_HELP, add, export
from streamer.cli.examples import MODELS, shown
from streamer.cli.options import Config, opened
from streamer.cli.quantizing import quantize
from streamer.cli.registry import history, promote, rollback
from streamer.cli.rollout import rollout

models = typer.Typer(
    no_args_is_help=True, help="Look at models, try them, and say which version serves."
)

Uri = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A folder, a file, registry:NAME, hf:ORG/REPO@COMMIT, models:/NAME/VERSION or a URL; "
        "paths are looked up here, then in STREAMER_MODELS__DIR.",
        show_default=False,
    ),
]


for command in (add, export, quantize, promote, rollout, rollback, history):
    models.command(epilog=shown(MODELS[command.__name__]))(command)


@models.command("list", epilog=shown(MODELS["list"]))
def list_models(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="What serves, on which daemon, as JSON.")
    ] = False,
    config: Config = None,
) -> None:
    """List the models with their versions, tasks and figures, and what serves in the fleet."""
    from streamer.operate.fleet import service_json
    from streamer.operate.models import list_models as listed

    settings = opened(config, clients="CRITICAL")
    if as_json:
        print(service_json(settings))
        raise typer.Exit
    raise typer.Exit(listed(settings))


@models.command(epilog=shown(MODELS["show"]))
def show(model: Uri, config: Config = None) -> None:
    """Show what a model version is: task, labels, inputs, outputs, files and figures."""
    from streamer.operate.models import show_model

    raise typer.Exit(show_model(model, opened(config)))


@models.command("try", epilog=shown(MODELS["try"]))
def try_model(
    model: Uri,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Pictures, or .txt, .jsonl and .csv as for `streamer send`.",
            show_default=False,
        ),
    ],
    *,
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score that is shown.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Labels at the most.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures there, with boxes and labels drawn in."),
    ] = None,
    config: Config = None,
) -> None:
    """Answer on the spot what a model says of files; no Kafka needed."""
    from streamer.operate.trial import Trial, try_files

    trial = Trial(
        model=model,
        files=tuple(files),
        task=task,
        threshold=threshold,
        top_k=top_k,
        as_json=as_json,
        draw=draw,
    )
    raise typer.Exit(try_files(trial, opened(config)))
