"""A model version in memory, and its sessions that share the work."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from threading import Condition
from typing import Any, TypeVar

from streamer.batch import BatchBounds, Ceiling, Learnt, Running, padded_cost
from streamer.config.topology import ModelRef
from streamer.infer import CPU, Session, Tuning, at_graph_length, check_fit, open_session
from streamer.models import Version
from streamer.pipeline.learning import keep_plan, learnt_plan
from streamer.pipeline.probe import Probe, probed
from streamer.pipeline.repeats import Repeats
from streamer.pipeline.seats import Seats
from streamer.pipeline.sizes import input_bytes, longest_edge
from streamer.postprocess import Interpreter, interpreter_for
from streamer.preprocess import Preprocessor, preprocessor_for
from streamer.records import ModelInput
from streamer.runtime import usable_cores

Result = TypeVar("Result")

_AUTO_ITEMS = {"text": 32, "pair": 32, "image": 8}
_AUTO_COST = {"text": 4096, "pair": 4096, "image": 8 * 640 * 640}
_MOST_COST = {"text": 16384, "pair": 16384, "image": 8 * 640 * 640}
_LEAST_TOKENS = 512
_LEAST_ITEMS = {"text": 64, "pair": 64, "image": 4}
_LEAST_OVERHEAD = 8
_BEYOND = {"text": 2, "pair": 2, "image": 1}
"""Times the cost that is as good as the best: half the overhead again, where lengths differ."""
_MOST_SESSIONS = 4
_ALONE_BYTES = 256 * 2**20
"""A larger model is not held once more for the sake of batches that come alone."""

_AWAKE = {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "1000"}
"""Threads that run what comes alone wait awake for its next operator, and sleep soon after it."""

SessionsOf = Callable[[Version, ModelRef], list[Session]]
"""Opens the sessions of a version."""


def open_sessions(version: Version, ref: ModelRef) -> list[Session]:
    """Load a version as often as it is to run at once, and check that it is what it says.

    Raises:
        ModelError: it does not load, or its manifest does not fit its file.
        ConfigError: its framework is not installed.
    """
    count, threads = _shares(ref)
    tuning = Tuning(
        provider=ref.provider,
        precision=ref.precision,
        memory_bytes=ref.memory,
        fuse=ref.fuse,
        compile=ref.compile,
        allow_bin=ref.allow_bin,
        session_options=ref.session_options,
        provider_options=ref.provider_options,
    )
    sessions: list[Session] = []
    while len(sessions) < count:
        session = open_session(
            version, device=ref.device, threads=threads, isolation=ref.isolation, tuning=tuning
        )
        sessions.append(session)
        if session.device != "cpu" and ref.sessions == "auto":
            break  # a GPU that `auto` found: one session fills it
    check_fit(version, sessions[0])
    return sessions


class ModelVersion:
    """A version with its preprocessing and one or more sessions on one device.

    On a CPU several single-threaded sessions, each with a batch of its own, beat one session with
    many threads that wait for each other. A batch that comes alone is answered sooner by the
    latter: beside the others there is one more session, which has all cores, for such batches only.

    Waves that run with the version hold it; `close` waits until the last of them has left.

    Attributes:
        name: the manifest's, as is `version_name`.
        input_bytes: what the inputs made of one record take at the most, roughly.
        longest_edge: the longest side that a picture is resized to; None where it stays as it is.
        probe: whether answers depend on their batch.
        learnt: what batches cost here; None where that is not known.
        repeats: answers for records that come again; None if none are kept.
    """

    def __init__(
        self, version: Version, ref: ModelRef, sessions: SessionsOf = open_sessions
    ) -> None:
        self.version = version
        self.name = version.manifest.name
        self.version_name = version.manifest.version
        self.sessions = sessions(version, ref)
        fed = at_graph_length(self.sessions[0].manifest, self.sessions[0].inputs)
        self.preprocessor: Preprocessor = preprocessor_for(fed, version.folder)
        self.probe: Probe = probed(version.manifest, self.sessions[0], self.preprocessor)
        self.input_bytes = input_bytes(version.manifest)
        self.longest_edge = longest_edge(version.manifest)
        self._ref = ref
        self.learnt = self._plan(sessions)
        self.ceiling = Ceiling(self._bounds(ref))
        overhead = self.ceiling.bounds.overhead
        self._running = Running(overhead) if overhead else None
        self.repeats = self._kept(ref)
        self._wants_repeats = bool(ref.repeats)
        self._interpreters: dict[tuple[str, float | None, int | None], Interpreter] = {}
        self._holders = 0
        self._held = Condition()
        self._alone = self._opened_alone(sessions)
        self._seats = Seats(self.sessions, version.manifest.name, self._alone)

    @property
    def copies(self) -> int:
        """How often the model is loaded."""
        return len(self.sessions) + (self._alone is not None)

    @property
    def bounds(self) -> BatchBounds:
        """What a batch holds at the most just now."""
        return self.ceiling.bounds

    def _plan(self, opened: SessionsOf) -> Learnt | None:
        """Learn what batches cost, and let as many sessions share the device as are fastest."""
        most, wide = _MOST_COST[self.preprocessor.kind], partial(self._wide, opened)
        found = learnt_plan(self.version, self._ref, self.sessions, self.preprocessor, most, wide)
        if found is not None and found.sessions == 1 < len(self.sessions):
            for session in self.sessions:
                session.close()
            self.sessions = [wide()]
        return found

    def _wide(self, opened: SessionsOf, **more: Any) -> Session:
        """Open a session that has all cores."""
        cores = {"sessions": 1, "threads": usable_cores(), **more}
        [session] = opened(self.version, self._ref.model_copy(update=cores))
        return session

    def _opened_alone(self, opened: SessionsOf) -> Session | None:
        """Open the session for what comes alone, where there are several and memory is no matter.

        ONNX Runtime's have threads of their own; of other frameworks they belong to the process.
        """
        several = len(self.sessions) > 1 and self._ref.sessions == self._ref.threads == "auto"
        file = self.version.file
        small = file.suffix == ".onnx" and file.stat().st_size <= _ALONE_BYTES
        if not several or not small or self.sessions[0].stands_in:
            return None
        return self._wide(opened, session_options=_AWAKE | self._ref.session_options)

    def took(self, inputs: Sequence[ModelInput], seconds: float) -> None:
        """Note a batch that was run: what it took corrects what was learnt of batches."""
        self.ceiling.ran()
        if self._running is None or self.learnt is None:
            return
        overhead = self._running.ran(padded_cost(inputs), seconds)
        if overhead is not None:
            self.ceiling.weigh(overhead)
            self.learnt = replace(self.learnt, overhead=overhead)
            keep_plan(self.version, self._ref, self.sessions[0], self.learnt)

    def _kept(self, ref: ModelRef) -> Repeats | None:
        """Make room for answers, unless they depend on more than their record."""
        alone = self.bounds.items == 1 or self.probe.batch_invariant != "no"
        return Repeats(ref.repeats) if ref.repeats and alone else None

    def _bounds(self, ref: ModelRef) -> BatchBounds:
        kind = self.preprocessor.kind
        own = self.version.manifest.batch.max_size
        sizes = [size for size in (ref.batch.max_size, own) if size != "auto"]
        if self.sessions[0].max_batch is not None:
            sizes.append(self.sessions[0].max_batch)
        cost, fewest, overhead = _AUTO_COST[kind], _AUTO_ITEMS[kind], 0
        if self.learnt is not None:
            # a machine that was busy just then must not leave batches of next to nothing
            fewest = max(self.learnt.items, _LEAST_ITEMS[kind])
            # texts are cut by their cost: short ones may be many
            few_pictures = fewest * self.learnt.cost // self.learnt.items
            least = few_pictures if kind == "image" else _LEAST_TOKENS
            cost = min(max(self.learnt.cost * _BEYOND[kind], least), _MOST_COST[kind])
            overhead = max(self.learnt.overhead, _LEAST_OVERHEAD) if kind != "image" else 0
        if ref.batch.max_cost != "auto":
            cost = ref.batch.max_cost
        most = min(sizes, default=fewest)
        if not ref.batch.deterministic or self.probe.batch_invariant == "exact":
            return BatchBounds(most, cost, overhead=overhead)
        return BatchBounds(most if self.probe.alike == 0.0 else 1, cost, one_length=True)

    def described(self) -> str:
        """Say for people how it runs: device, provider, sessions, batches."""
        session = self.sessions[0]
        count = len(self.sessions)
        sessions = f"{count} session{'s' if count > 1 else ''}"
        return (
            f"{session.device} ({session.provider}, {sessions}, "
            f"batches of {self.bounds.items}, {self.probe})"
        )

    def cautions(self) -> list[str]:
        """Say what an operator should know of: answers that move, work that is not on the GPU."""
        session = self.sessions[0]
        found = []
        if session.fallback is not None:
            found.append(f"a GPU is here, but the CPU computes: {session.fallback}")
        elsewhere = session.nodes.get(CPU, 0) if session.device != "cpu" else 0
        if elsewhere:
            total = sum(session.nodes.values())
            found.append(f"{elsewhere} of the graph's {total} nodes run on the CPU")
        bounds = self.bounds
        settled = bounds.items == 1 or (bounds.one_length and self.probe.alike == 0.0)
        if self._wants_repeats and self.repeats is None:
            found.append("repeats: no answers are kept, since they depend on their batch")
        if self.probe.batch_invariant == "no" and self.probe.alike is not None and not settled:
            found.append(
                f"answers depend on what else is in the batch, numbers by up to "
                f"{self.probe.spread:.1g}: a retry may answer differently; write "
                "batch: {deterministic: true} where that matters"
            )
        return found

    def interpreter(self, task: str, threshold: float | None, top_k: int | None) -> Interpreter:
        """Give what reads this version's outputs for a step.

        Raises:
            ConfigError: the outputs are not what the task needs.
        """
        key = (task, threshold, top_k)
        found = self._interpreters.get(key)
        if found is None:
            found = self._interpreters[key] = interpreter_for(
                self.version.manifest,
                task,
                folder=self.version.folder,
                threshold=threshold,
                top_k=top_k,
            )
        return found

    def submit(self, work: Callable[[Session], Result]) -> Future[Result]:
        """Run work with a session as soon as one is free."""
        return self._seats.submit(work)

    def run(self, session: Session, inputs: Sequence[Any]) -> dict[str, Any]:
        """Collate and run one batch."""
        return session.run(self.preprocessor.collate(inputs))

    def hold(self) -> None:
        """Keep the sessions open until `release`."""
        with self._held:
            self._holders += 1

    def release(self) -> None:
        """Undo one `hold`."""
        with self._held:
            self._holders -= 1
            self._held.notify_all()

    def left(self, patience: float) -> bool:
        """Wait until nobody holds the version any more, at most so many seconds."""
        with self._held:
            return self._held.wait_for(lambda: self._holders == 0, patience)

    def close(self) -> None:
        """End the sessions and free their memory."""
        self._seats.close()
        for session in self.sessions:
            session.close()
        if self._alone is not None:
            self._alone.close()


def _shares(ref: ModelRef) -> tuple[int, int]:
    """Give (sessions, threads of each): on a CPU all cores between them, one on a GPU."""
    cores = usable_cores()
    on_gpu = ref.device.startswith(("cuda", "GPU", "MIG")) or ref.provider in ("cuda", "tensorrt")
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
