"""What serves, and what served before: tables for people, JSON for programs."""

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from streamer.broker import wait_for_brokers
from streamer.config import Settings
from streamer.deployments import Deployment, Ledger
from streamer.deployments.events import Changed, Report, fleet_of, progress
from streamer.deployments.topics import Tail, there
from streamer.errors import StreamerError

_REACHED_WITHIN_S = 0.1
_PIPED_WIDTH = 200


def in_service(settings: Settings) -> tuple[dict[str, Deployment], list[Report]]:
    """Read what is deployed, and the reports of the daemons that live.

    Raises:
        BrokerError: Kafka is not reachable.
    """
    wait_for_brokers(settings.kafka, give_up_after=_REACHED_WITHIN_S)
    if not there(settings):
        return {}, []
    tail = Tail(settings, settings.deployments.events_topic)
    try:
        fleet = fleet_of(tail.to_end())
    finally:
        tail.close()
    return Ledger(settings).read(), fleet.alive(time.time())


def print_in_service(settings: Settings, console: Console) -> None:
    """Print what serves, and how far the fleet is; or why that is not known."""
    try:
        deployed, living = in_service(settings)
    except StreamerError as error:
        console.print(f"what serves is not shown: {error}", style="dim", soft_wrap=True)
        return
    if not deployed:
        return
    table = Table(box=None, header_style="bold")
    for head in ("in service", "version", "beside it", "before", "since", "by", "daemons"):
        table.add_column(head)
    for name, deployment in sorted(deployed.items()):
        table.add_row(*_row(name, deployment, living))
    console.print()
    console.print(table)
    for report in living:
        for name, state in report.models.items():
            if state.state != "serving":
                told = f"{report.daemon}: {name} {state.wanted}: {state.state}"
                reason = f": {state.reason}" if state.reason else ""
                console.print(told + reason, style="red", markup=False, soft_wrap=True)


def service_json(settings: Settings) -> str:
    """Give what is deployed and what each living daemon serves."""
    deployed, living = in_service(settings)
    return json.dumps(
        {
            "deployments": {name: one.model_dump() for name, one in sorted(deployed.items())},
            "daemons": [report.model_dump() for report in living],
        },
        indent=2,
    )


def print_history(settings: Settings, model: str | None, *, as_json: bool) -> int:
    """Print who changed what serves, and what was refused; give the exit code.

    Raises:
        BrokerError: Kafka is not reachable.
    """
    wait_for_brokers(settings.kafka, give_up_after=_REACHED_WITHIN_S)
    changes = Ledger(settings).history(model) if there(settings) else []
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    if as_json:
        for change in changes:
            console.out(change.model_dump_json(), highlight=False)
        return 0
    if not changes:
        console.print(f"nothing was deployed yet{f' of {model}' if model else ''}")
        return 0
    console.print(_history_table(changes))
    return 0


def _history_table(changes: Iterable[Changed]) -> Table:
    table = Table(box=None, header_style="bold")
    for head in ("at", "model", "what", "from", "to", "by", "reason"):
        table.add_column(head, overflow="fold")
    for change in changes:
        before, after = change.before, change.after
        table.add_row(
            change.at.partition(".")[0],
            change.model,
            change.action,
            before.champion if before else "",
            _version(after),
            change.by,
            change.reason,
        )
    return table


def _version(deployment: Deployment | None) -> str:
    if deployment is None:
        return ""
    beside = f" + {deployment.candidate}" if deployment.candidate else ""
    return f"{deployment.champion}{beside}"


def _row(name: str, deployment: Deployment, living: list[Report]) -> tuple[Any, ...]:
    serving = {one.daemon: one.models[name] for one in living if name in one.models}
    done, _, failed = progress(serving, deployment.champion)
    daemons = f"{done} of {len(serving)}" if serving else "none"
    if failed:
        daemons += f", refused by {len(failed)}"
    return (
        name,
        deployment.champion,
        _beside(deployment),
        deployment.previous or "",
        deployment.at.partition(".")[0],
        deployment.by,
        daemons,
    )


def _beside(deployment: Deployment) -> str:
    if deployment.candidate is None:
        return ""
    share = deployment.shares.get(deployment.candidate)
    told = f" {share:.0%}" if share is not None else ""
    return f"{deployment.candidate}{told} {deployment.mode or ''}".strip()
