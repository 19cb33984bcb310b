"""A model version in memory, and its sessions that share the work."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from streamer.batch import BatchBounds, Ceiling
from streamer.config.topology import ModelRef
from streamer.infer import Session, check_fit, open_session
from streamer.models import Version, load_version
from streamer.preprocess import Preprocessor, preprocessor_for

Result = TypeVar("Result")

_AUTO_ITEMS = {"text": 32, "pair": 32, "image": 8}
_AUTO_COST = {"text": 4096, "pair": 4096, "image": 8 * 640 * 640}
_MOST_SESSIONS = 4


SessionsOf = Callable[[Version, ModelRef], list[Session]]
"""Opens the sessions of a model."""


def open_sessions(version: Version, ref: ModelRef) -> list[Session]:
    """Load a version as often as it is to run at once, and check that it is what it says.

    Raises:
        ModelError: it does not load, or its manifest does not fit its file.
        ConfigError: its framework is not installed.
    """
    count, threads = _shares(ref)
    sessions = [
        open_session(version, device=ref.device, threads=threads, isolation=ref.isolation)
        for _ in range(count)
    ]
    check_fit(version, sessions[0])
    return sessions


class Model:
    """A version with its preprocessing and one or more sessions on one device.

    On a CPU several single-threaded sessions, each with a batch of its own, beat one session with
    many threads that wait for each other.
    """

    def __init__(
        self, version: Version, ref: ModelRef, sessions: SessionsOf = open_sessions
    ) -> None:
        self.version = version
        self.sessions = sessions(version, ref)
        self.preprocessor: Preprocessor = preprocessor_for(version.manifest, version.folder)
        self.ceiling = Ceiling(self._bounds(ref))
        self._free: SimpleQueue[Session] = SimpleQueue()
        for session in self.sessions:
            self._free.put(session)
        self._pool = ThreadPoolExecutor(
            max_workers=len(self.sessions), thread_name_prefix=f"infer-{version.manifest.name}"
        )

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.version.manifest.name

    @property
    def version_name(self) -> str:
        """The manifest's version."""
        return self.version.manifest.version

    @property
    def bounds(self) -> BatchBounds:
        """What a batch holds at the most just now."""
        return self.ceiling.bounds

    def _bounds(self, ref: ModelRef) -> BatchBounds:
        kind = self.preprocessor.kind
        own = self.version.manifest.batch.max_size
        sizes = [size for size in (ref.batch.max_size, own) if size != "auto"]
        if self.sessions[0].max_batch is not None:
            sizes.append(self.sessions[0].max_batch)
        cost = _AUTO_COST[kind] if ref.batch.max_cost == "auto" else ref.batch.max_cost
        return BatchBounds(min(sizes, default=_AUTO_ITEMS[kind]), cost)

    def submit(self, work: Callable[[Session], Result]) -> Future[Result]:
        """Run work with a session as soon as one is free."""

        def with_session() -> Result:
            session = self._free.get()
            try:
                return work(session)
            finally:
                self._free.put(session)

        return self._pool.submit(with_session)

    def run(self, session: Session, inputs: Sequence[Any]) -> dict[str, Any]:
        """Collate and run one batch."""
        return session.run(self.preprocessor.collate(inputs))

    def close(self) -> None:
        """End the sessions and free their memory."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for session in self.sessions:
            session.close()


def _shares(ref: ModelRef) -> tuple[int, int]:
    """Give (sessions, threads of each): on a CPU all cores between them, one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    on_gpu = ref.device.startswith(("cuda", "GPU", "MIG"))
    if ref.sessions != "auto":
        sessions = ref.sessions
    elif on_gpu:
        sessions = 1
    elif ref.threads != "auto":
        sessions = max(min(cores // ref.threads, _MOST_SESSIONS), 1)
    else:
        sessions = min(cores, _MOST_SESSIONS)
    threads = max(cores // sessions, 1) if ref.threads == "auto" else ref.threads
    return sessions, threads


class Models:
    """The models of a process; whoever names the same one the same way shares it."""

    def __init__(self, models_dir: Path, sessions: SessionsOf = open_sessions) -> None:
        self._dir = models_dir
        self._sessions = sessions
        self._open: dict[tuple[Path, ModelRef], Model] = {}

    def version(self, ref: ModelRef, beside: Path, task: str | None) -> Version:
        """Find a version without loading it."""
        return load_version(ref.uri, beside=beside, models_dir=self._dir, task=task)

    def open(self, ref: ModelRef, beside: Path, task: str | None = None) -> Model:
        """Load a model, or give the one that is loaded.

        Raises:
            ConfigError: there is no such model.
            ModelError: it cannot be loaded, or its manifest does not fit its file.
        """
        version = self.version(ref, beside, task)
        key = (version.file, ref.model_copy(update={"uri": ""}))
        if key not in self._open:
            self._open[key] = Model(version, ref, self._sessions)
        return self._open[key]

    def __iter__(self) -> Any:
        return iter(self._open.values())

    def close(self) -> None:
        """Close all models."""
        for model in self._open.values():
            model.close()
        self._open.clear()
