"""Logs: structlog for people or for machines, and the standard library's loggers through it."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

# These tell their inner life at INFO (connections, requests, rebalances); streamer logs its own.
_CHATTY = ("kafka", "uvicorn", "asyncio", "urllib3", "httpx", "httpcore")
_SECRET_WORDS = ("password", "secret", "token")
_EVENT_WIDTH = 36


def configure(
    form: Literal["console", "json"] = "console",
    level: str = "INFO",
    stream: TextIO | None = None,
) -> None:
    """Set logging up for the process; calling it again replaces what was set up.

    Args:
        form: `console`: a line for people, in colours on a terminal; `json`: an object a line.
        level: least severity that is logged; foreign libraries begin at WARNING unless DEBUG.
        stream: where to; standard error if left out.
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
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(least)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(least if level == "DEBUG" else max(least, logging.WARNING))


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
