"""A daemon, its live page, and a real Chromium that looks at it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from support import tiny
from support.daemon import Daemons, environment_of
from support.page import TOKEN, Scene, Taught, Watched
from support.topics import Topics
from support.waiting import eventually

if TYPE_CHECKING:  # installed in an environment of its own
    from playwright.sync_api import Browser
    from support.world import World

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("platform: no Chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def scene(topics: Topics, daemons: Daemons, tmp_path: Path) -> Iterator[Scene]:
    tiny.picture_model(daemons.folder / "models")
    tiny.text_model(daemons.folder / "models")
    mark = uuid4().hex[:6]
    pictures, messages = topics.make(2, prefix="pictures"), topics.make(2, prefix="messages")
    sinks = [topics.make(2, prefix=f"{name}-{mark}") for name in ("seen", "read", "dead")]
    common: dict[str, Any] = {"deadletter": {"topic": sinks[2]}, "delivery": "exactly-once"}
    daemon = daemons.start(
        {
            "name": "seen",
            "source": {"topics": [pictures], "format": "image", "group": f"seen-{mark}"},
            "model": "colours",
            "sink": {"topic": sinks[0]},
            **common,
        },
        {
            "name": "read",
            "source": {"topics": [messages], "format": "text", "group": f"read-{mark}"},
            "model": "mood",
            "sink": {"topic": sinks[1]},
            **common,
        },
    ).ready()
    deployments, events = (topics.make(prefix=name) for name in ("deployments", "events"))
    given = {
        "KAFKA__BOOTSTRAP_SERVERS": topics.brokers,
        "DEPLOYMENTS__TOPIC": deployments,
        "DEPLOYMENTS__EVENTS_TOPIC": events,
    }
    with page_server(daemon.url, given, tmp_path) as (url, server):
        yield Scene(daemon, url, server, pictures, messages, topics, deployments, events)


@contextmanager
def page_server(
    daemon: str, given: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `streamer dashboard`; gives its address and its process."""
    own = {"PORT": "0", "INTERVAL": "0.5s", "REPLAY_TOKEN": TOKEN}
    named = {**given, **{f"DASHBOARD__{name}": value for name, value in own.items()}}
    log = folder / "page.log"
    with log.open("wb") as out:
        server = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "streamer", "dashboard", daemon],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment_of({f"STREAMER_{name}": value for name, value in named.items()}),
            cwd=folder,
        )

    def told() -> str | None:
        assert server.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text().partition("live page")[2])
        return found.group() if found else None

    try:
        yield eventually(told, "the page tells its address"), server
    finally:
        if server.poll() is None:
            server.terminate()
    assert server.wait(20) == 0, log.read_text()


@pytest.fixture
def watched(scene: Scene, browser: "Browser") -> Iterator[Watched]:
    with looking_at(scene.url, browser) as made:
        yield made


@pytest.fixture
def taught(world: "World", browser: "Browser", tmp_path: Path) -> Iterator[Taught]:
    daemon = world.daemon()
    given = {**world.environment, "KAFKA__BOOTSTRAP_SERVERS": world.broker}
    with (
        page_server(daemon.url, given, tmp_path) as (url, _),
        looking_at(url, browser) as made,
    ):
        yield Taught(world, daemon, made)


@contextmanager
def looking_at(url: str, browser: "Browser") -> Iterator[Watched]:
    """Open the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    made = Watched(page)
    page.on("console", lambda m: made.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on("request", lambda request: made.asked.add(request.url))
    page.goto(url)
    page.wait_for_selector("html[data-shown]", state="attached")
    yield made
    context.close()
