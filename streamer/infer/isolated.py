"""A session in a process of its own: a native crash costs one batch, not the daemon."""

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import structlog
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError, RecordError, StreamerError
from streamer.infer.session import OutOfMemoryError, TensorInfo
from streamer.infer.shared import Arena
from streamer.infer.tuning import Tuning
from streamer.models import Manifest, Version

_LOAD_WITHIN_S = 300.0
_RUN_WITHIN_S = 120.0
_END_WITHIN_S = 5.0


class IsolatedSession:
    """Speaks with a worker process; starts the next one when it has died.

    Messages are MessagePack over a socket pair, arrays go through shared memory; nothing of what
    the worker sends is executed here.
    """

    in_flight: int = 1  # one line of talk
    stands_in: bool = False

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        self._version = version
        self._asked: dict[str, Any] = {
            "device": device,
            "threads": threads,
            "tuning": msgspec.to_builtins(tuning or Tuning()),
        }
        self._log = structlog.get_logger("infer").bind(model=version.manifest.name)
        self._given, self._taken = Arena(), Arena()
        try:
            self._load()
        except StreamerError:
            self.close()
            raise

    def _load(self) -> None:
        """Start a worker; one that dies of the first batch gets single items from then on."""
        try:
            self._start()
        except RecordError as error:
            self._log.warning("the model's process died of two items, trying one", error=str(error))
            self._asked["tuning"]["single"] = True
            try:
                self._start()
            except RecordError as again:
                file = self._version.file
                raise ModelError(f"{file}: cannot be loaded: {again}") from again

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        fds = (theirs.fileno(), self._given.fd, self._taken.fd)
        self._worker = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "streamer.infer.worker", *map(str, fds)], pass_fds=fds
        )
        theirs.close()
        self._line = Connection(ours.detach())
        told = self._ask(
            {
                "folder": str(self._version.folder),
                "file": str(self._version.file),
                "manifest": self._version.manifest.model_dump(mode="json"),
                **self._asked,
            },
            _LOAD_WITHIN_S,
        )
        if "error" in told:
            self._end()
            kind = ConfigError if told.get("config") else ModelError
            raise kind(told["error"])
        self.device: str = told["device"]
        self.provider: str = told["provider"]
        self.max_batch: int | None = told["max_batch"]
        self.fallback: str | None = told["fallback"]
        self.nodes: Mapping[str, int] = told["nodes"]
        fed = told["manifest"]
        self.manifest = Manifest.model_validate(fed) if fed else self._version.manifest
        # one that is started again must take what this one takes
        self._asked["tuning"]["fuse"] = fed is not None
        self.inputs: Mapping[str, TensorInfo] = _infos(told["inputs"])
        self.outputs: Mapping[str, TensorInfo] = _infos(told["outputs"])

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Compute the outputs; see `Session.run`.

        Raises:
            RecordError: the worker died of the batch, did not answer, or could not run it.
            OutOfMemoryError: the batch found no memory.
        """
        if self._worker.poll() is not None:
            self._log.warning("the model's process is started again")
            self._start()
        told = self._ask({"run": self._given.write(feeds)}, _RUN_WITHIN_S)
        if "error" in told:
            if told.get("memory"):
                raise OutOfMemoryError(told["error"])
            raise RecordError(told["error"], reason=told["reason"])
        arrays = self._taken.read(told["arrays"])
        return {**arrays, **told["others"]}

    def _ask(self, message: dict[str, Any], within: float) -> dict[str, Any]:
        try:
            self._line.send_bytes(msgspec.msgpack.encode(message))
            if not self._line.poll(within):
                self._end()
                told = f"the model's process did not answer within {within:.0f} s and was ended"
                raise RecordError(told, reason="timed-out")
            answer: dict[str, Any] = msgspec.msgpack.decode(self._line.recv_bytes())
        except (EOFError, OSError) as error:
            code = self._end()
            how = _named_signal(-code) if code < 0 else f"exit code {code}"
            message_ = f"the model's process died: {how}"
            raise RecordError(message_, reason="crashed") from error
        return answer

    def _end(self) -> int:
        self._line.close()
        try:
            code = self._worker.wait(0.5)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            code = self._worker.wait(_END_WITHIN_S)
        return code

    def close(self) -> None:
        """End the worker."""
        if self._worker.poll() is None:
            self._line.close()  # it ends when nobody is left to ask
            try:
                self._worker.wait(_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                self._worker.wait(_END_WITHIN_S)
        self._given.close()
        self._taken.close()


def _infos(told: list[list[Any]]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(name, dtype, None if shape is None else tuple(shape))
        for name, dtype, shape in told
    }


def _named_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
