"""The command `streamer`: its sub-commands, and what becomes of their errors.

What a command works with is imported when the command runs, so that `--help` is quick and commands
that need no model also work where no inference runtime is installed.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from streamer import __version__
from streamer.cli.bench import bench
from streamer.cli.broker import broker
from streamer.cli.compare import compare
from streamer.cli.dashboard import dashboard, top
from streamer.cli.deadletters import deadletters
from streamer.cli.demo import demo
from streamer.cli.examples import COMMANDS, FIRST, shown
from streamer.cli.models import models
from streamer.cli.plan import plan
from streamer.cli.retrain import retrain
from streamer.cli.run import check, run
from streamer.cli.send import send
from streamer.cli.spec import spec
from streamer.cli.tail import tail
from streamer.errors import ConfigError, ModelError, StreamerError

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="streamer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=FIRST,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"streamer {__version__}")
        raise typer.Exit


@app.callback()
def streamer(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Kafka topics of images and texts in, topics of predictions out."""


_PANELS: dict[str, tuple[Callable[..., Any], ...]] = {
    "To begin with": (demo, broker),
    "From day to day": (run, check, send, tail, dashboard, top),
    "Before a decision": (spec, compare, bench, plan),
    "To learn from labels": (retrain,),
}
for panel, commands in _PANELS.items():
    for command in commands:
        examples = shown(COMMANDS[command.__name__])
        app.command(rich_help_panel=panel, epilog=examples)(command)
app.add_typer(models, name="models", rich_help_panel="From day to day")
app.add_typer(deadletters, name="deadletters", rich_help_panel="From day to day")


def main() -> NoReturn:
    """Run the command line; errors end in one readable message and an exit code."""
    try:
        app(prog_name="streamer")
    except (ConfigError, ModelError) as error:
        _fail(str(error), EXIT_CONFIG)
    except StreamerError as error:
        _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place that can make it readable
        if _traces_wanted():
            traceback.print_exc()
            sys.exit(EXIT_FAILED)
        kind = type(error).__name__
        told = " ".join(str(error).split())
        hint = "for the trace run it again with STREAMER_LOG__LEVEL=DEBUG"
        _fail(f"unexpected {kind}: {told}\n({hint})", EXIT_FAILED)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"streamer: {message}\n")
    sys.exit(code)


def _traces_wanted() -> bool:
    asked = os.environ.get("STREAMER_LOG__LEVEL", "").upper() == "DEBUG"
    return asked or logging.getLogger().getEffectiveLevel() <= logging.DEBUG
