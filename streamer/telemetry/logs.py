"""Logs: structlog for people or for machines, and the standard library's loggers through it."""

import logging
import math
import sys
from collections.abc import Callable, MutableMapping
from time import monotonic
from typing import Any, Literal, TextIO

import structlog

# These tell their inner life at INFO (connections, requests, rebalances); streamer logs its own.
_CHATTY = ("kafka", "uvicorn", "asyncio", "urllib3", "httpx", "httpcore")
_SECRET_WORDS = ("password", "secret", "token")
_EVENT_WIDTH = 36
_REPEATED_AFTER_S = 30.0
_MOST_REMEMBERED = 1000


def configure(
    form: Literal["console", "json"] = "console",
    level: str = "INFO",
    stream: TextIO | None = None,
    *,
    clients: str = "WARNING",
) -> None:
    """Set logging up for the process; calling it again replaces what was set up.

    Args:
        form: `console`: a line for people, in colours on a terminal; `json`: an object a line.
        level: least severity that is logged.
        stream: where to; standard error if left out.
        clients: least severity of what foreign libraries tell; at level DEBUG they tell all.
    """
    stream = stream or sys.stderr
    least = logging.getLevelNamesMapping()[level]
    named: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(
            fmt="iso" if form == "json" else "%H:%M:%S.%f", utc=form == "json"
        ),
    ]
    structlog.configure(
        processors=[*named, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*named, structlog.stdlib.ExtraAdder()],
            processors=_rendering(form, stream),
        )
    )
    handler.addFilter(_Repetitions())
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(least)
    for name in _CHATTY:
        quiet = max(least, logging.getLevelNamesMapping()[clients])
        logging.getLogger(name).setLevel(least if level == "DEBUG" else quiet)


class _Repetitions(logging.Filter):
    """Lets the Kafka client say the same only now and then: it tries ten times a second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let pass what streamer says, and what the client has not said lately."""
        if not record.name.startswith("kafka") or record.levelno < logging.WARNING:
            return True
        now, said = self._clock(), (record.name, record.getMessage())
        if now - self._said.get(said, -math.inf) < _REPEATED_AFTER_S:
            return False
        if len(self._said) >= _MOST_REMEMBERED:
            self._said.clear()
        self._said[said] = now
        return True


def _rendering(form: str, stream: TextIO) -> list[structlog.typing.Processor]:
    """Give the processors that turn an event into a line."""
    finish: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _without_secrets,
    ]
    if form == "json":
        return [
            *finish,
            structlog.processors.dict_tracebacks,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=_readable, ensure_ascii=False),
        ]
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        pad_event_to=_EVENT_WIDTH,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [*finish, console]


def _without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Hide what by its name is a secret, whoever logged it."""
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "***"
    return event


def _readable(value: Any) -> str:
    """Write what JSON has no form for."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
