"""`streamer models rollout`: a candidate beside the version that serves."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamer.cli.options import Config, opened
from streamer.cli.registry import By, Expected, Reason


def rollout(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME, or NAME@VERSION.", show_default=False)
    ],
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="The candidate.", show_default=False)
    ] = None,
    *,
    mode: Annotated[
        Literal["canary", "ab", "shadow"] | None,
        typer.Option(
            help="canary: it answers a share of the keys, rules decide; ab: a person decides; "
            "shadow: it answers aside, for nobody. canary if nothing says otherwise."
        ),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Share of the keys that it answers, or looks at: 10% if left out."
        ),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Over, and inconclusive, after so long: 30m if left out."
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with further rules: min_samples, max_error_ratio, decide …",
        ),
    ] = None,
    if_version: Expected = None,
    by: By = None,
    reason: Reason = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Tell how it stands until it has ended.")
    ] = False,
    config: Config = None,
) -> None:
    """Put a candidate beside the version that serves: canary, A/B test or shadow."""
    from streamer.operate.promotion import named, whoever
    from streamer.operate.rollout import Asked, await_end, begin

    settings = opened(config, clients="CRITICAL")
    name, chosen = named(model, version)
    asked = Asked(
        model=name,
        version=chosen,
        mode=mode,
        share=share,
        max_time=max_time,
        file=rules,
        expected=if_version,
        by=by or whoever(),
        reason=reason,
    )
    begun = begin(asked, settings)
    print(f"{name}: version {begun.candidate} is compared with {begun.champion} ({begun.mode})")
    if wait:
        now = await_end(name, begun, settings)
        print(f"{name}: version {now.champion} serves: {now.reason}")
