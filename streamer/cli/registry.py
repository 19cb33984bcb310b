"""`streamer models promote|rollback|history`: which version serves, and since when."""

from typing import Annotated

import typer

from streamer.cli.options import Config, opened

Name = Annotated[
    str, typer.Argument(metavar="MODEL", help="Its name in the registry.", show_default=False)
]
Expected = Annotated[
    str | None,
    typer.Option(
        "--if-version",
        metavar="VERSION",
        help="Only if this version serves now: refused if somebody else was faster.",
    ),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who says so; user and host if left out.")
]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until every living daemon serves it, with progress.")
]
Timeout = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="With --wait: how long at the most.")
]


def promote(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="NAME, or NAME@VERSION.", show_default=False),
    ],
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="VERSION",
            help="The version; with MLflow's registry an alias too, as in challenger.",
            show_default=False,
        ),
    ] = None,
    *,
    if_version: Expected = None,
    by: By = None,
    reason: Reason = "",
    unverified: Annotated[
        bool,
        typer.Option("--unverified", help="Don't try the version here first: daemons still do."),
    ] = False,
    max_slowdown: Annotated[
        float, typer.Option(min=1, help="How many times slower than what serves it may be.")
    ] = 5.0,
    wait: Wait = False,
    timeout: Timeout = 600,
    config: Config = None,
) -> None:
    """Put a version into service: tried here, then written, then loaded by every daemon."""
    from streamer.operate.promotion import Promotion, await_fleet, named, whoever
    from streamer.operate.promotion import promote as promoted

    settings = opened(config, clients="CRITICAL")
    name, chosen = named(model, version)
    promotion = Promotion(
        name, chosen, if_version, by or whoever(), reason, not unverified, max_slowdown
    )
    deployment = promoted(promotion, settings)
    before = f" ({deployment.previous} before)" if deployment.previous else ""
    print(f"{name}: version {deployment.champion} is deployed{before}")
    if wait:
        await_fleet(name, deployment, settings, patience=timeout)


def rollback(
    model: Name,
    *,
    if_version: Expected = None,
    by: By = None,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 600,
    config: Config = None,
) -> None:
    """Go back to the version that served before, or end a rollout that goes on."""
    from streamer.operate.promotion import await_fleet, roll_back, whoever

    settings = opened(config, clients="CRITICAL")
    by = by or whoever()
    deployment = roll_back(model, settings, by=by, reason=reason, expected=if_version)
    print(f"{model}: version {deployment.champion} is deployed")
    if wait:
        await_fleet(model, deployment, settings, patience=timeout)


def history(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="Its name; all models if left out.", show_default=False
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """Tell who put which version into service, when and why, and what was refused."""
    from streamer.operate.fleet import print_history

    raise typer.Exit(print_history(opened(config, clients="CRITICAL"), model, as_json=as_json))
