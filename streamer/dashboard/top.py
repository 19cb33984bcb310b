"""`streamer top`: the board in a terminal."""

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty
from time import monotonic, sleep
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamer.config import Settings
from streamer.dashboard.board import Board
from streamer.runtime import queued_signals

_FIRST_WITHIN_S = 5.0
_LOOK_S = 0.2
_EVENTS = 5
_UNITS = (
    (1e-2, 1e3, "ms", 1),
    (1.0, 1e3, "ms", 0),
    (120.0, 1.0, "s", 1),
    (7200.0, 1 / 60, "min", 0),
)


def run_top(settings: Settings, urls: Sequence[str], *, once: bool) -> int:
    """Show the board until SIGINT or SIGTERM, or once; give the exit code.

    That is 1 if it is shown once and no daemon answers.

    Raises:
        ConfigError: an address is none.
    """
    console = Console()
    with Board(settings, urls, results=False) as board:
        if once:
            state = _first(board)
            console.print(shown(state))
            return 0 if any(one["error"] is None for one in state["daemons"]) else 1
        ended = queued_signals(signal.SIGINT, signal.SIGTERM)
        with Live(Text("looking …"), console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(shown(board.state()), refresh=True)
                with suppress(Empty):
                    ended.get(timeout=board.interval)
                    return 0


def _first(board: Board) -> dict[str, Any]:
    """Wait for two looks at a daemon: rates need them; not for ever, since it may be gone."""
    until = monotonic() + _FIRST_WITHIN_S + board.interval
    while True:
        state = board.state()
        looked = any(len(points) > 1 for points in state["history"].values())
        nobody = state["daemons"] and all(one["error"] is not None for one in state["daemons"])
        if looked or nobody or monotonic() > until:
            return state
        sleep(_LOOK_S)


def shown(state: Mapping[str, Any]) -> RenderableType:
    """Lay the board out for a terminal."""
    parts: list[RenderableType] = [_head(state), _topologies(state), _steps(state)]
    models = _models(state)
    if models.row_count:
        parts.append(models)
    parts += [_learning(one) for one in state["deployed"]["learning"]]
    if state["deployed"]["error"]:
        parts.append(Text(f"deployments: {state['deployed']['error']}", "dim"))
    letters = _letters(state)
    if letters is not None:
        parts.append(letters)
    parts += [
        Text(f"{event['at'][11:19]} {event['model']} {event['what']} {event['text']}", "dim")
        for event in state["deployed"]["events"][:_EVENTS]
    ]
    return Group(*parts)


def _head(state: Mapping[str, Any]) -> Text:
    at = datetime.fromtimestamp(state["at"]).astimezone()
    line = Text.assemble(("streamer ", "bold"), f"{at:%H:%M:%S}  ")
    gone = [one for one in state["daemons"] if one["error"] is not None]
    answering = len(state["daemons"]) - len(gone)
    line.append(
        f"{answering} of {len(state['daemons'])} daemons answer", "red" if gone else "green"
    )
    for one in gone:
        line.append(f"\n  {one['name']}: {one['error']}", "red")
    return line


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _topologies(state: Mapping[str, Any]) -> Table:
    columns = ("in/s", "done/s", "lag", "age", "drain", "p50", "p95", "p99", "flying", "dead")
    table = _table("topologies", "topology", *columns)
    for name, told in sorted(state["topologies"].items()):
        latency = told["latency"]
        table.add_row(
            f"{name} (gone)" if told["stale"] else name,
            f"{told['consumed_per_s']:.1f}",
            f"{told['done_per_s']:.1f}",
            f"{told['lag_records']:,.0f}",
            duration(told["lag_seconds"]),
            _drain(told),
            *(duration(latency.get(share)) for share in ("p50", "p95", "p99")),
            f"{told['in_flight']:,.0f}",
            f"{told['dead']:,.0f}",
            style="dim" if told["stale"] else None,
        )
    return table


def _drain(told: Mapping[str, Any]) -> str:
    if told["keeps_up"]:
        return "keeps up"
    return "not falling" if told["drain_s"] is None else duration(told["drain_s"])


def _steps(state: Mapping[str, Any]) -> Table:
    table = _table(
        "steps", "step", "model", "device", "answers/s", "batch", "full", "padding", "run"
    )
    for name, told in sorted(state["topologies"].items()):
        for step in told["steps"]:
            table.add_row(
                f"{name}.{step['name']}",
                f"{step['model']} {step['version']}",
                f"{step['device']} x{step['sessions']}",
                f"{step['answers_per_s']:.1f}",
                "-" if step["batch_items"] is None else f"{step['batch_items']:.1f}",
                _share(step["full_share"]),
                _share(step["padding"]),
                duration(step["inference"].get("p50")),
            )
    return table


def _models(state: Mapping[str, Any]) -> Table:
    table = _table("models", "model", "serves", "beside it", "accuracy", "labelled")
    found = {(one["model"], one["version"]): one for one in state["accuracies"]}
    for one in state["deployed"]["models"]:
        live = found.get((one["model"], one["champion"]), {})
        beside = f"{one['candidate']} ({one['mode']})" if one["candidate"] else ""
        labelled = live.get("labelled")
        table.add_row(
            one["model"],
            one["champion"],
            beside,
            _share(live.get("accuracy")),
            "" if labelled is None else f"{labelled:.0f}",
        )
    return table


def _learning(told: Mapping[str, Any]) -> Text:
    """Say how far a sidecar is: with a run, or with the labels that begin one."""
    if told["silent"]:
        return Text(f"{told['model']} learns: nothing was heard of its sidecar lately", "red")
    if told["run"] is not None:
        doing = f"run {told['run']} {told['stage']}, {_share(told['progress'])}"
        return Text(f"{told['model']} learns: {doing}, for {duration(told['seconds'])}")
    due = f" of {told['due_at']:,}" if told["due_at"] else ""
    last = f"; last run: {told['last']}" if told["last"] else ""
    return Text(f"{told['model']} learns: {told['taken']:,} labels{due}{last}")


def _letters(state: Mapping[str, Any]) -> Text | None:
    counts = {
        f"{name} {reason}": number
        for name, told in sorted(state["topologies"].items())
        for reason, number in sorted(told["deadletters"].items())
        if number
    }
    if not counts:
        return None
    told = ", ".join(f"{number:.0f} {reason}" for reason, number in counts.items())
    return Text(f"dead letters: {told}", "yellow")


def duration(seconds: float | None) -> str:
    """Write a duration for people; a dash where it is not known."""
    if seconds is None:
        return "-"
    if seconds == 0:
        return "0 s"
    for below, times, unit, digits in _UNITS:
        if seconds < below:
            return f"{seconds * times:.{digits}f} {unit}"
    return f"{seconds / 3600:.1f} h"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
