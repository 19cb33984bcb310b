"""Looks at processes again and again, and knows which of them are gone."""

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

import structlog

from streamer.dashboard.figures import Looks
from streamer.dashboard.scrape import Scrape, SilentError, scraped
from streamer.errors import ConfigError

KEPT_S = 60.0
_AT_ONCE = 8
_FORGOTTEN_S = 15 * 60.0
_DNS = "dns+"


@dataclass
class Process:
    """One process that is looked at.

    Attributes:
        looks: at it, over the last minute before it fell silent.
        seen: when it answered last, in seconds since 1970.
        error: why it does not answer now.
    """

    url: str
    looks: deque[Scrape] = field(default_factory=deque)
    seen: float | None = None
    error: str | None = None
    since: float = field(default_factory=monotonic)

    @property
    def status(self) -> Mapping[str, Any]:
        """What its /status said last."""
        return self.looks[-1].status if self.looks else {}

    @property
    def topologies(self) -> Mapping[str, Any]:
        """The topologies that it runs; none of a sidecar."""
        told = self.status.get("topologies")
        return told if isinstance(told, dict) else {}

    @property
    def name(self) -> str:
        """Who it says that it is."""
        return str(self.status.get("instance") or self.status.get("model") or self.url)


class Watch:
    """Looks at every process each interval, from a thread.

    Args:
        urls: of processes; `dns+http://NAME:PORT` stands for all that the name leads to.
        interval: between two looks, in seconds.
        found: gives further addresses, asked before each look.
        looked: called after each look.
    """

    def __init__(
        self,
        urls: Sequence[str],
        interval: float,
        found: Callable[[], Iterable[str]] = tuple,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        self._urls = [checked(url) for url in urls]
        self._interval = interval
        self._found = found
        self._looked = looked
        self._lock = Lock()
        self._processes: dict[str, Process] = {}
        self._ended = Event()
        self._log = structlog.get_logger("page")
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(timeout=5)

    def processes(self) -> list[Process]:
        """Give what is known, also of processes that fell silent; each process once.

        One that is reached by two addresses counts at the one that was given first.
        """
        with self._lock:
            copies = [replace(one, looks=deque(one.looks)) for one in self._processes.values()]
        copies.sort(key=lambda one: (one.error is not None, self._rank(one.url)))
        found: dict[str, Process] = {}
        for one in copies:
            found.setdefault(str(one.status.get("process") or one.url), one)
        return sorted(found.values(), key=lambda one: one.url)

    def _rank(self, url: str) -> int:
        return self._urls.index(url) if url in self._urls else len(self._urls)

    def look(self) -> None:
        """Look at every process once."""
        wanted = dict.fromkeys(url for given in self._urls for url in _resolved(given))
        wanted |= dict.fromkeys(self._good(self._found()))
        with self._lock:
            known = list(self._processes)
        asked = [*wanted, *(url for url in known if url not in wanted)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for url, outcome in zip(asked, pool.map(_look, asked), strict=True):
                self._note(url, outcome, wanted=url in wanted)
        self._looked()

    def _good(self, urls: Iterable[str]) -> Iterator[str]:
        """Give the addresses that are some: these come from a topic."""
        for url in urls:
            try:
                yield checked(url)
            except ConfigError as error:
                self._log.debug("an address on the events topic is none", error=str(error))

    def _note(self, url: str, outcome: Scrape | str, *, wanted: bool) -> None:
        with self._lock:
            process = self._processes.setdefault(url, Process(url))
            if isinstance(outcome, Scrape):
                process.looks.append(outcome)
                while process.looks[0].at < outcome.at - KEPT_S:
                    process.looks.popleft()
                process.seen, process.error, process.since = time(), None, monotonic()
                return
            process.error = outcome
            if not wanted and monotonic() - process.since > _FORGOTTEN_S:
                del self._processes[url]  # a replica that went for good

    def _run(self) -> None:
        while not self._ended.is_set():
            began = monotonic()
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the page must go on; the next look may do better
                self._log.exception("a look at the processes failed")
            self._ended.wait(max(self._interval - (monotonic() - began), 0.05))


def looks_of(processes: Iterable[Process], topology: str) -> list[Looks]:
    """Give the looks at the processes that run a topology and answer."""
    return [
        list(one.looks) for one in processes if one.error is None and topology in one.topologies
    ]


def checked(url: str) -> str:
    """Check that an address is one.

    Raises:
        ConfigError: it is none.
    """
    plain = url.removeprefix(_DNS)
    try:
        parts = urlsplit(plain if "://" in plain else f"http://{plain}")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        parts, good = urlsplit(""), False
    if not good:
        message = f"'{url}' is no address of a daemon; write for instance http://127.0.0.1:8080"
        raise ConfigError(message)
    prefix = _DNS if url.startswith(_DNS) else ""
    return f"{prefix}{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _look(url: str) -> Scrape | str:
    try:
        return scraped(url)
    except SilentError as error:
        return str(error)


def _resolved(url: str) -> list[str]:
    """Give the addresses behind a name; a name that leads nowhere stands for itself."""
    if not url.startswith(_DNS):
        return [url]
    plain = url.removeprefix(_DNS)
    parts = urlsplit(plain)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return [plain]
    hosts = sorted({str(address[0]) for *_, address in found})
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    port = f":{parts.port}" if parts.port else ""
    return [f"{parts.scheme}://{host}{port}{parts.path}" for host in shown]
