"""`streamer broker`: a real Kafka on this machine, until Ctrl-C."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from streamer.embedded import KAFKA_VERSION, EmbeddedKafka, class_path
from streamer.runtime import on_signals

_LOOK_EVERY_S = 0.5


def broker(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where clients connect; 0 for any free port.")
    ] = 9092,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keeps the records; without it they go when the broker stops."),
    ] = None,
    heap: Annotated[int, typer.Option(min=128, help="Memory for Java's heap, in MiB.")] = 384,
) -> None:
    """Run Apache Kafka on this machine: one node, for trying things out and for tests.

    Prints `ready` and the address once clients are served, and stops on Ctrl-C. The first run
    fetches Kafka itself, about 45 MB, into the user's cache folder.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _fetch()
    _serve(EmbeddedKafka(port, data_dir, heap))


def _fetch() -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(f"fetching Apache Kafka {KAFKA_VERSION}", visible=False)
        class_path(progress=lambda at, of: bar.update(task, completed=at, total=of, visible=True))


def _serve(kafka: EmbeddedKafka) -> None:
    stopping = threading.Event()

    def stop(_number: int) -> None:
        if stopping.is_set():
            # Asked twice: leave now. Kafka follows as soon as this process is gone.
            os._exit(1)
        stopping.set()

    on_signals(stop, signal.SIGINT, signal.SIGTERM)
    with kafka:
        typer.echo(f"ready {kafka.bootstrap_servers}")
        while not stopping.wait(_LOOK_EVERY_S):
            kafka.require_running()
