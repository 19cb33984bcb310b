"""A daemon with its live page, and the page as a browser shows it."""

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import tiny
from support.daemon import Daemon
from support.topics import Sent, Topics
from support.waiting import eventually

if TYPE_CHECKING:  # installed in an environment of its own
    from playwright.sync_api import Page

    from support.world import World

TOKEN = "open-sesame"  # noqa: S105 - of a page of tests


@dataclass
class Watched:
    """A page that is open, and all that it complained about or asked others for."""

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def figure(self, topology: str, name: str) -> str:
        """Read one of a topology's figures."""
        return self.page.locator(
            f'[data-topology="{topology}"] [data-figure="{name}"] dd'
        ).inner_text()

    def rows(self, body: str) -> list[list[str]]:
        """Read a table."""
        found: list[list[str]] = self.page.locator(f"{body} tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return found


@dataclass
class Scene:
    """Two topologies at work in one daemon, and the page that shows them."""

    daemon: Daemon
    url: str
    server: subprocess.Popen[bytes]
    pictures: str
    messages: str
    topics: Topics
    deployments: str
    events: str

    @property
    def seen(self) -> str:
        """The topology of pictures."""
        return "seen"

    @property
    def read(self) -> str:
        """The topology of texts."""
        return "read"

    def metric(self, name: str, **labels: str) -> float:
        """Add up a metric's series as the daemon shows them."""
        return metric(self.daemon.get("/metrics")[1], name, **labels)

    def sent(self, pictures: int = 0, messages: int = 0, bad: int = 0) -> None:
        """Send records, some of them bad, and wait until all have left the line."""
        before = self.metric("record_duration_seconds_count")
        wanted = before + self.send(pictures, messages, bad)
        eventually(
            lambda: self.metric("record_duration_seconds_count") == wanted, "all records are done"
        )

    def send(self, pictures: int = 0, messages: int = 0, bad: int = 0) -> int:
        """Send records, and go on; gives how many."""
        value = tiny.picture("green", (120, 160))
        self.topics.send(self.pictures, [Sent(value, key=b"p%d" % n) for n in range(pictures)])
        texts = [Sent(b"good %d" % n) for n in range(messages)]
        self.topics.send(self.messages, [*texts, *[Sent(b"\xff%d" % n) for n in range(bad)]])
        return pictures + messages + bad


@dataclass
class Taught:
    """A daemon whose model a sidecar teaches, and the page that shows both."""

    world: "World"
    daemon: Daemon
    watched: Watched

    def model(self) -> dict[str, str]:
        """What the page shows of the model, by column."""
        names = ("model", "version", "since", "served", "beside", "accuracy")
        [row] = [row for row in self.watched.rows("#models") if row[0] == self.world.model]
        return dict(zip(names, row, strict=True))


def metric(text: str, name: str, **labels: str) -> float:
    """Add up a metric's series in what /metrics has answered."""
    total = 0.0
    for line in text.splitlines():
        told, _, value = line.rpartition(" ")
        if told.partition("{")[0] == f"streamer_{name}" and all(
            f'{label}="{wanted}"' in told for label, wanted in labels.items()
        ):
            total += float(value)
    return total
