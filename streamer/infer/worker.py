"""The process behind an isolated session: `python -m streamer.infer.worker SOCKET GIVEN TAKEN`."""

import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streamer.errors import ConfigError, RecordError, StreamerError
from streamer.infer import Tuning, open_session
from streamer.infer.session import OutOfMemoryError, Session
from streamer.infer.shared import Arena
from streamer.models import Manifest, Version


def main(line: Connection, given: Arena, taken: Arena) -> None:
    """Load the session that is asked for and run batches until nobody asks any more."""
    session: Session | None = None
    while True:
        try:
            asked = msgspec.msgpack.decode(line.recv_bytes())
        except EOFError:
            return
        try:
            if session is None:
                version, session = _opened(asked)
                answer = _described(version, session)
            else:
                answer = _ran(session, given.read(asked["run"]), taken)
        except OutOfMemoryError as error:
            answer = {"error": str(error), "memory": True}
        except RecordError as error:
            answer = {"error": str(error), "reason": error.reason}
        except ConfigError as error:
            answer = {"error": str(error), "config": True}
        except StreamerError as error:
            answer = {"error": str(error), "reason": "inference-failed"}
        line.send_bytes(msgspec.msgpack.encode(answer))


def _opened(asked: dict[str, Any]) -> tuple[Version, Session]:
    manifest = Manifest.model_validate(asked["manifest"])
    version = Version(Path(asked["folder"]), manifest, Path(asked["file"]))
    tuning = msgspec.convert(asked["tuning"], Tuning)
    session = open_session(version, device=asked["device"], threads=asked["threads"], tuning=tuning)
    return version, session


def _described(version: Version, session: Session) -> dict[str, Any]:
    fused = session.manifest is not version.manifest

    def listed(tensors: Any) -> list[list[Any]]:
        return [[info.name, info.dtype, info.shape] for info in tensors.values()]

    return {
        "device": session.device,
        "provider": session.provider,
        "max_batch": session.max_batch,
        "fallback": session.fallback,
        "nodes": dict(session.nodes),
        "manifest": session.manifest.model_dump(mode="json") if fused else None,
        "inputs": listed(session.inputs),
        "outputs": listed(session.outputs),
    }


def _ran(session: Session, feeds: dict[str, Any], taken: Arena) -> dict[str, Any]:
    outputs = session.run(feeds)
    arrays = {name: value for name, value in outputs.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in outputs.items() if name not in arrays}
    return {"arrays": taken.write(arrays), "others": others}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which ends us
    main(Connection(int(sys.argv[1])), Arena(int(sys.argv[2])), Arena(int(sys.argv[3])))
