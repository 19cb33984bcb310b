"""`streamer demo`."""

from typing import Annotated

import typer

from streamer.cli.options import Config, opened


def demo(
    config: Config = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Answer the sample traffic, print a summary, and end."),
    ] = False,
) -> None:
    """Show the whole system on this machine: a real Kafka, models, traffic and predictions.

    One of the models knows little at first, and learns from labels of its own answers.
    """
    from streamer.demo.show import run_demo

    raise typer.Exit(run_demo(opened(config), once=once))
