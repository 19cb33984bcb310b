"""`streamer retrain`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.early import ends_when_told
from streamer.cli.options import Config, opened

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def retrain(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The sidecar's file (YAML): model, labels, strategy, gate, rollout. `--schema` "
            "tells every key.",
            show_default=False,
        ),
    ] = None,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Begin a run as soon as all labels are read.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="End after one run, or where none is due.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file, and end.")
    ] = False,
    withdrawals: Annotated[
        bool,
        typer.Option(
            "--withdrawals",
            help="List what was withdrawn, with the versions that have learnt from it, and end.",
        ),
    ] = False,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            metavar="NAME",
            help="List the versions that have learnt from an example, and end.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Learn from a topic of labels, and bring what proves better into service.

    SIGUSR1 begins a run whatever the triggers say; SIGINT and SIGTERM end the sidecar.
    """
    if schema:
        from streamer.retraining.config import retrain_schema

        print(json.dumps(retrain_schema(), indent=2))
        return
    if file is None:
        raise typer.BadParameter("name the sidecar's file, or ask for --schema")
    if withdrawals or trained_on is not None:
        _listed(file.absolute(), trained_on)
        return
    ends_when_told()
    _limit_threads(file)
    from streamer.retraining.sidecar import run_sidecar

    raise typer.Exit(run_sidecar(file.absolute(), opened(config), now=now, once=once))


def _limit_threads(file: Path) -> None:
    """Let linear algebra have no more threads than the budget: it asks when it is loaded."""
    import yaml

    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
        threads = int(read.get("budget", {}).get("threads", 1))
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        return  # whoever reads the whole file says what is wrong with it
    for name in _THREADS:
        os.environ.setdefault(name, str(threads))


def _listed(path: Path, name: str | None) -> None:
    """Print what was withdrawn, or the versions that know an example."""
    from streamer.retraining.config import load_retrain
    from streamer.retraining.forgetting import Forgetting, derived_from
    from streamer.retraining.place import Place
    from streamer.retraining.plan import place_of_set
    from streamer.retraining.runs import Runs

    place = Place(place_of_set(load_retrain(path), path))
    runs = Runs(place)
    if name is not None:
        versions = runs.trained_on(name)
        _print(name, versions, derived_from(versions, runs.all()))
        return
    for one in Forgetting(place, runs).listed():
        _print(f"{one.at} {one.name}", one.versions, one.derived)


def _print(what: str, versions: Sequence[str], derived: Sequence[str]) -> None:
    told = f"learnt by {', '.join(versions)}" if versions else "learnt by no version"
    print(f"{what}: {told}{'; made of these: ' + ', '.join(derived) if derived else ''}")
