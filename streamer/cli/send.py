"""`streamer send`."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def send(
    topic: Annotated[str, typer.Argument(help="Topic the records go to.", show_default=False)],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Pictures or folders of them; .txt and .jsonl: a record a line; .csv with a "
            "header: a JSON object a row; '-': lines of standard input.",
            show_default=False,
        ),
    ],
    *,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Key of the records: a fixed text, or with {name} (the file's name without its "
            "ending), {number} (from 0) or a {field} of the JSON object.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=VALUE", help="A header; may be given repeatedly."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Records a second at the most.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="Send all of it N times.")] = 1,
    create: Annotated[
        bool, typer.Option("--create", help="Create the topic if it is not there.")
    ] = False,
    config: Config = None,
) -> None:
    """Write pictures, lines of text, JSON lines or CSV rows to a topic, one record each.

    Ends with 1 if Kafka did not acknowledge every record.
    """
    from streamer.operate.outgoing import Sending
    from streamer.operate.send import send_files

    sending = Sending(
        topic=topic,
        files=tuple(files),
        key=key,
        headers=tuple(header or ()),
        rate=rate,
        repeat=repeat,
        create=create,
    )
    raise typer.Exit(send_files(sending, opened(config, clients="CRITICAL")))
