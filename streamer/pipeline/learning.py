"""The batches a model runs best in, learnt when it is loaded and kept for the next time."""

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, thread_time

import msgspec
import numpy as np
import structlog
from platformdirs import user_cache_path

from streamer.batch import Learnt, learnt
from streamer.config.topology import ModelRef
from streamer.errors import StreamerError
from streamer.infer import Session
from streamer.models import Version
from streamer.pipeline.sharing import one_is_faster
from streamer.preprocess import Preprocessor
from streamer.records import Image, ModelInput, Pair, Sample, Text
from streamer.runtime import usable_cores
from streamer.tasks import WRITING

_BUDGET_S = 0.4
_KEPT_ABOVE_S = 0.1
"""What is learnt quicker than this is learnt anew each time: no file is worth it."""
_WORTH_TRYING_S = 0.01
"""A model whose batches are quicker than this is not tried with another number of sessions."""
_TEXT = "the blue bird that sang on a green tree came back at night and sang once more "
_LARGE = (480, 640)

_log = structlog.get_logger(__name__)


def learnt_plan(  # noqa: PLR0913, PLR0917 - the model, how it runs, and what it is tried with
    version: Version,
    ref: ModelRef,
    sessions: Sequence[Session],
    preprocessor: Preprocessor,
    most_cost: int,
    alone: Callable[[], Session],
) -> Learnt | None:
    """Give what is known of a model's batches on its device, or learn it in about a second.

    Args:
        version: the model.
        ref: how it is run.
        sessions: that share the device.
        preprocessor: puts batches together.
        most_cost: cost of a batch at the most.
        alone: opens a session that has all cores, to be tried against several.

    Returns:
        None where nothing can be learnt: batches of one, a function in the model's place, texts
        that are written token by token, inputs that cannot be made up.
    """
    session = sessions[0]
    if session.stands_in or session.max_batch == 1 or version.manifest.task in WRITING:
        return None
    file = _file(version, ref, session)
    known = _read(file)
    if known is not None:
        return known
    began = perf_counter()
    try:
        found = _learnt(session, preprocessor, most_cost, _clock(ref, sessions))
        if len(sessions) > 1 and _may_be_one(version, ref):
            found = _shared(sessions, alone, preprocessor, most_cost, found)
    except (StreamerError, ValueError, TypeError, RuntimeError) as error:
        # what is made up must not keep it from serving
        _log.debug("no batch plan was learnt", model=version.manifest.name, error=str(error))
        return None
    if perf_counter() - began > _KEPT_ABOVE_S:
        _write(file, found)
    return found


def keep_plan(version: Version, ref: ModelRef, session: Session, found: Learnt) -> None:
    """Keep what was learnt while the model served, perhaps after its file is gone."""
    try:
        file = _file(version, ref, session)
    except OSError as error:
        _log.debug("the batch plan is not kept", model=version.manifest.name, error=str(error))
        return
    _write(file, found)


def _may_be_one(version: Version, ref: ModelRef) -> bool:
    """Whether one session of all threads may stand in the place of several.

    Threads of Torch's and TensorFlow's sessions are the process's: what one sets holds for all.
    """
    own = version.file.suffix in (".onnx", ".tflite") or ref.isolation == "process"
    return own and ref.sessions == ref.threads == "auto"


def _learnt(
    session: Session, preprocessor: Preprocessor, most_cost: int, clock: Callable[[], float]
) -> Learnt:
    one = _made_up(preprocessor)
    each = max(one.cost, one.length, 1)

    def seconds_of(items: int) -> float:
        feeds = preprocessor.collate([one] * items)
        began = clock()
        session.run(feeds)
        return clock() - began

    seconds_of(1)  # the first run allocates
    most = min(session.max_batch or most_cost, max(most_cost // each, 1), 256)
    return learnt(seconds_of, each, most=most, budget_s=_BUDGET_S)


def _shared(
    sessions: Sequence[Session],
    alone: Callable[[], Session],
    preprocessor: Preprocessor,
    most_cost: int,
    found: Learnt,
) -> Learnt:
    """Try one session of all threads in the place of several; learn its batches if it is faster."""
    feeds = preprocessor.collate([_made_up(preprocessor)] * found.items)
    began = perf_counter()
    sessions[0].run(feeds)
    if perf_counter() - began < _WORTH_TRYING_S:
        return found
    one = alone()
    try:
        if not one_is_faster(sessions, one, feeds):
            return found
        return replace(_learnt(one, preprocessor, most_cost, perf_counter), sessions=1)
    finally:
        one.close()


def _clock(ref: ModelRef, sessions: Sequence[Session]) -> Callable[[], float]:
    """Choose the thread's own time where it computes alone: other work here does not count then."""
    here = sessions[0].device == "cpu" and ref.isolation == "none"
    share = usable_cores() // len(sessions) if ref.threads == "auto" else ref.threads
    return thread_time if here and share <= 1 else perf_counter


def _made_up(preprocessor: Preprocessor) -> ModelInput:
    """Make an input of a likely size."""
    sample: Sample
    if preprocessor.kind == "image":
        sample = Image(np.full((*_LARGE, 3), 127, np.uint8))
    elif preprocessor.kind == "pair":
        sample = Pair(_TEXT * 2, _TEXT * 2)
    else:
        sample = Text(_TEXT * 2)
    [prepared] = preprocessor.prepare([sample])
    if isinstance(prepared, StreamerError):
        raise prepared
    return prepared[0]


def _file(version: Version, ref: ModelRef, session: Session) -> Path:
    return user_cache_path("streamer") / "plans" / f"{_key(version, ref, session)}.json"


def _key(version: Version, ref: ModelRef, session: Session) -> str:
    """Name what a plan depends on: the file, the device, and how it is run there."""
    told = version.manifest.files.get(version.file.name)
    stat = version.file.stat()
    parts = (
        told or f"{version.file} {stat.st_size} {stat.st_mtime_ns}",
        *(session.device, session.provider, ref.precision, ref.threads, ref.sessions),
        *session.inputs.values(),
        *(platform.processor(), platform.machine(), platform.node(), usable_cores()),
    )
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def _read(file: Path) -> Learnt | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Learnt)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(file: Path, found: Learnt) -> None:
    """Keep it, whole or not at all; where nothing can be written it is learnt again."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.encode(found))
        part.replace(file)
    except OSError as error:
        _log.debug("the batch plan is not kept", file=str(file), error=str(error))
