"""Whether a candidate finds room beside the champion."""

from collections.abc import Iterable

from streamer.errors import ModelError
from streamer.infer.room import short_of
from streamer.models import Version
from streamer.pipeline.model import Model

_REPLACE = "models.swap: replace (STREAMER_MODELS__SWAP), which frees the one that serves first"


def refuse_short(model: Model, version: Version) -> None:
    """Refuse a version that memory does not hold beside the one that serves, before it is loaded.

    Raises:
        ModelError: it needs more than is free; says both.
    """
    lacking = _short(model, version)
    if lacking is not None:
        raise ModelError(f"{lacking}; give the process more memory, or set {_REPLACE}")


def room_findings(models: Iterable[Model]) -> list[str]:
    """Say for which models a candidate as large as the champion would find no room beside it."""
    lacking = {m.name: _short(m, m.champion.version) for m in models if m.registered}
    return [
        f"a candidate of the size of '{name}' would find no room beside it: {told}; set {_REPLACE}"
        for name, told in lacking.items()
        if told is not None
    ]


def _short(model: Model, version: Version) -> str | None:
    """Ask for as many copies, on the device, as the champion has."""
    champion = model.champion
    session = champion.sessions[0]
    shared = session.provider == "Torch" and model.ref.isolation == "none"
    return short_of(
        version,
        device=session.device,
        copies=1 if shared else champion.copies,
        limit=model.ref.memory,
    )
