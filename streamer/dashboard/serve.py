"""`streamer dashboard`: the board as a page, until interrupted."""

import signal
from collections.abc import Mapping, Sequence

from streamer.config import Settings
from streamer.config.settings import HttpSettings
from streamer.dashboard.application import Replay, page_application
from streamer.dashboard.board import Board
from streamer.endpoints import Served
from streamer.operate.deadletters import Choice, replay
from streamer.runtime import queued_signals


def replaying(settings: Settings) -> Replay:
    """Make what replays the dead letters of a topic, in one transaction."""

    def replayed(topic: str, reason: str | None) -> tuple[Mapping[str, int], bool]:
        done = replay(settings, topic, Choice(reason=reason), again=False, dry=False)
        return done.counts, done.more

    return replayed


def served(settings: Settings, board: Board, http: HttpSettings) -> Served:
    """Give the server of the page."""
    token = settings.dashboard.replay_token
    shown = token.get_secret_value() if token is not None else None
    application = page_application(board, shown, replaying(settings))
    return Served(http, application, "the live page")


def run_dashboard(settings: Settings, urls: Sequence[str]) -> int:
    """Serve the page until SIGINT or SIGTERM; give the exit code.

    Raises:
        ConfigError: an address is none, or the port is taken.
    """
    own = settings.dashboard
    http = HttpSettings(host=own.host, port=own.port)
    ended = queued_signals(signal.SIGINT, signal.SIGTERM)
    with Board(settings, urls) as board, served(settings, board, http):
        ended.get()
    return 0
