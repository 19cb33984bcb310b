"""The HTTP server, in a thread of its own."""

import errno
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Self

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from streamer.config.settings import HttpSettings
from streamer.endpoints.application import Health, application
from streamer.errors import ConfigError

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 2.0
_STEP_S = 0.005
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


class Served:
    """Serves an application while entered as a context.

    Args:
        http: where to listen; nothing is listened on if it is not enabled.
        application: answers requests.
        what: what is served, for the log.
    """

    def __init__(self, http: HttpSettings, application: Starlette, what: str) -> None:
        self._http = http
        self._application = application
        self._what = what
        self._log = structlog.get_logger("http")
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self.port: int | None = None

    @property
    def url(self) -> str | None:
        """Where to look from this machine; None while nothing is listened on."""
        if self.port is None:
            return None
        host = "127.0.0.1" if self._http.host in _ANYWHERE else self._http.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def advertised(self) -> str | None:
        """Where others look; None while nothing is listened on."""
        if self.port is None:
            return None
        if self._http.advertised_url is not None:
            return self._http.advertised_url
        anywhere = self._http.host in _ANYWHERE
        return f"http://{socket.gethostname()}:{self.port}" if anywhere else self.url

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; comes back when connections are answered.

        Raises:
            ConfigError: the port is taken, or the address is not one of this machine.
        """
        if not self._http.enabled:
            return
        listening = _listening(self._http)
        self.port = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                self._application,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
                timeout_keep_alive=30,
            )
        )
        thread = Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="http", daemon=True
        )
        thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_STEP_S)
        self._server, self._thread = server, thread
        self._log.info(f"answers {self._what}", url=self.url)

    def stop(self) -> None:
        """Stop listening; what is being answered is finished."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._server = self._thread = self.port = None


class Endpoints(Served):
    """Answers probes, scrapes and questions of the process.

    Args:
        http: where to listen; nothing is listened on if it is not enabled.
        health: asked by the probes.
        registry: shown at /metrics.
        status: shown at /status; without secrets.
    """

    def __init__(
        self,
        http: HttpSettings,
        health: Health,
        registry: CollectorRegistry,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(http, application(health, registry, status), "probes and scrapes")


def _listening(http: HttpSettings) -> socket.socket:
    """Bind before anything else happens, so that a taken port is found at once."""
    where = f"{http.host}:{http.port}"
    try:
        family = socket.getaddrinfo(http.host or None, http.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((http.host, http.port), family=family, backlog=128)
    except socket.gaierror as error:
        message = f"http.host: {http.host}: {error.strerror} (STREAMER_HTTP__HOST)"
        raise ConfigError(message) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = f"http.port: {where} is taken by another process; choose another with "
            told += "STREAMER_HTTP__PORT (0: any free one)"
        elif error.errno == errno.EACCES:
            told = f"http.port: {where} needs rights of root; choose one above 1023 with "
            told += "STREAMER_HTTP__PORT"
        else:
            told = f"http.host: {where}: {error.strerror} (STREAMER_HTTP__HOST)"
        raise ConfigError(told) from error
