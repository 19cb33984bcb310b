"""`streamer deadletters`."""

import json
import sys
from typing import Annotated, Any

import typer

from streamer.cli.examples import DEADLETTERS, shown
from streamer.cli.options import Config, opened

deadletters = typer.Typer(
    name="deadletters",
    no_args_is_help=True,
    help="Look into dead letters and send them on their way again.",
)

Topic = Annotated[str, typer.Argument(help="Topic of dead letters.", show_default=False)]
Stage = Annotated[
    str | None,
    typer.Option(help="Only this stage: decode, preprocess, infer, postprocess, encode, produce."),
]
Reason = Annotated[str | None, typer.Option(help="Only this reason, as in truncated-image.")]
ErrorClass = Annotated[str | None, typer.Option("--class", help="Only this class of error.")]
Topology = Annotated[str | None, typer.Option(help="Only of this topology.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Not older than 30m, 2h, 1d, or a time: 2025-03-01T12:00."),
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Not newer, written likewise.")]


@deadletters.command("list", epilog=shown(DEADLETTERS["list"]))
def list_letters(
    topic: Topic,
    *,
    config: Config = None,
    stage: Stage = None,
    reason: Reason = None,
    error: ErrorClass = None,
    topology: Topology = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="Letters at the most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, with the place that `show` takes."""
    from itertools import islice

    from rich.console import Console

    from streamer.broker import Reader
    from streamer.operate.deadletters import Choice, letters
    from streamer.operate.lines import as_object, readable

    choice = Choice(stage, reason, error, topology, since, until)
    console = Console(soft_wrap=True, highlight=False)
    with Reader(_reached(config).kafka) as reader:
        for letter in islice(letters(reader, topic, choice), limit):
            if as_json:
                typer.echo(json.dumps(as_object(letter), ensure_ascii=False))
            else:
                console.print(readable(letter))


@deadletters.command(epilog=shown(DEADLETTERS["show"]))
def show(
    place: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC/PARTITION/OFFSET", help="As `list` tells it.", show_default=False
        ),
    ],
    *,
    config: Config = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the original value, byte by byte.")
    ] = False,
) -> None:
    """Show one dead letter whole: key, headers, error and value."""
    from streamer.broker import Reader
    from streamer.operate.deadletters import letter_at
    from streamer.operate.lines import as_object

    with Reader(_reached(config).kafka) as reader:
        letter = letter_at(reader, place)
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
    else:
        typer.echo(json.dumps(as_object(letter), indent=2, ensure_ascii=False))


@deadletters.command(epilog=shown(DEADLETTERS["replay"]))
def replay(
    topic: Topic,
    *,
    config: Config = None,
    stage: Stage = None,
    reason: Reason = None,
    error: ErrorClass = None,
    topology: Topology = None,
    since: Since = None,
    until: Until = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were replayed before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, send nothing.")] = False,
) -> None:
    """Send dead letters to the topics they came from, with their original keys and headers.

    All of them in one transaction, 100,000 or 256 MiB at the most: either all are sent or none.
    Without filters a second replay goes on where the first one ended.
    """
    from streamer.operate.deadletters import Choice
    from streamer.operate.deadletters import replay as replayed

    choice = Choice(stage, reason, error, topology, since, until)
    done = replayed(_reached(config), topic, choice, again=again, dry=dry_run)
    what = "would be replayed" if dry_run else "replayed"
    for original, count in sorted(done.counts.items()):
        typer.echo(f"{count} {what} to {original}")
    for place in done.lost:
        typer.echo(
            f"{place}: its value was dropped for its size, and the original is gone", err=True
        )
    if done.more:
        again_how = "call it without --again" if again else "call it again"
        go_on = again_how if choice.everything else "go on with --since and --until"
        told = "there are more than one transaction takes"
        typer.echo(told if dry_run else f"{told}: {go_on}", err=True)
    if not done.counts:
        typer.echo("nothing to replay")


def _reached(config: Any) -> Any:
    from streamer.broker import wait_for_brokers

    settings = opened(config, clients="CRITICAL")
    wait_for_brokers(settings.kafka, give_up_after=10.0)
    return settings
