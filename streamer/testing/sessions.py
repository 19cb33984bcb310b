"""Sessions that compute nothing: a function stands for the model."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from streamer.config import Topology
from streamer.config.topology import ModelRef
from streamer.errors import ConfigError, StreamerError
from streamer.infer import Session, TensorInfo
from streamer.models import Version
from streamer.pipeline.model import open_sessions

FakeModel = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes a batch's inputs by name, gives its outputs by name; the first axis is the batch."""


class FakeModelError(StreamerError):
    """The function that stands for a model does not give what the model would."""


class FakeSession:
    """A session that asks a function.

    What the function raises becomes of the records what a failing model makes of them; what it
    gives in a wrong form is the test's mistake, and kept in `mistake`.
    """

    device = "cpu"
    provider = "function"
    max_batch: int | None = None
    fallback: str | None = None
    nodes: Mapping[str, int] = MappingProxyType({})
    in_flight = 1
    stands_in = True

    def __init__(self, name: str, version: Version, model: FakeModel) -> None:
        self._name = name
        self._model = model
        self.manifest = version.manifest
        self._outputs = set(version.manifest.outputs)
        self.inputs: Mapping[str, TensorInfo] = {}
        self.outputs: Mapping[str, TensorInfo] = {}
        self.mistake: FakeModelError | None = None

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the function.

        Raises:
            FakeModelError: it lacks an output, or gives one for another number of items.
        """
        outputs = self._model(feeds)
        items = len(next(iter(feeds.values())))
        try:
            self._check(outputs, items)
        except FakeModelError as error:
            self.mistake = error
            raise
        return dict(outputs)

    def _check(self, outputs: Any, items: int) -> None:
        told = f"the function for '{self._name}'"
        if not isinstance(outputs, Mapping):
            message = f"{told} gives {type(outputs).__name__}, not outputs by name"
            raise FakeModelError(message)
        lacking = self._outputs - set(outputs)
        if lacking:
            message = f"{told} gives {sorted(outputs)}; the manifest also reads {sorted(lacking)}"
            raise FakeModelError(message)
        for name in self._outputs:
            rows = len(outputs[name])
            if rows != items:
                message = f"{told} gives {rows} rows of '{name}' for a batch of {items}"
                raise FakeModelError(message)

    def close(self) -> None:
        """Nothing is to be freed."""


class Sessions:
    """Opens fake sessions for the models that are named, true ones for all others."""

    def __init__(self, topology: Topology, fakes: Mapping[str, FakeModel]) -> None:
        unknown = {name.partition("@")[0] for name in fakes} - set(topology.models)
        if unknown:
            message = (
                f"sessions: '{topology.name}' has no model {sorted(unknown)}; "
                f"its models are {sorted(topology.models)}"
            )
            raise ConfigError(message)
        self._topology = topology
        self._fakes = fakes
        self._opened: list[FakeSession] = []

    def open(self, version: Version, ref: ModelRef) -> list[Session]:
        """Open the sessions of one model."""
        for name, own in self._topology.models.items():
            fake = self._fakes.get(f"{name}@{version.manifest.version}", self._fakes.get(name))
            if fake is not None and _alike(own, ref):
                session = FakeSession(name, version, fake)
                self._opened.append(session)
                return [session]
        return open_sessions(version, ref)

    @property
    def mistake(self) -> FakeModelError | None:
        """What a function did wrong first."""
        return next((session.mistake for session in self._opened if session.mistake), None)


def _alike(own: ModelRef, ref: ModelRef) -> bool:
    """Whether a model is meant, be it in a process of its own, or with what a step says of it."""
    alone = {"isolation": own.isolation, "sessions": own.sessions, "options": own.options}
    return own == ref.model_copy(update=alone)
