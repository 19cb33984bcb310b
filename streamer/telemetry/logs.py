"""Logs: structlog for people or for machines, and the standard library's loggers through it."""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

# These tell their inner life at INFO: connections, requests, rebalances; streamer logs its own.
_CHATTY = ("kafka", "uvicorn", "asyncio", "urllib3", "httpx", "httpcore")


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
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            *shared[:2],
            *shared[3:],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_rendering(form, stream)
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else "WARNING")


def _rendering(form: str, stream: TextIO) -> list[structlog.typing.Processor]:
    """Give the processors that turn an event into a line."""
    drop: structlog.typing.Processor = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "json":
        return [
            drop,
            structlog.processors.dict_tracebacks,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=_readable, ensure_ascii=False),
        ]
    return [drop, structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=44)]


def _readable(value: Any) -> str:
    """Write what JSON has no form for; a SecretStr says only stars."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
