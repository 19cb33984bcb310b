"""Records answered once more, outside any line: nothing is read, written or committed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamer.config import Settings, Topology
from streamer.decode import Decoder
from streamer.formats import registry_for
from streamer.pipeline.assembly import assembled
from streamer.pipeline.model import Models, SessionsOf, open_sessions
from streamer.pipeline.prepare import Preparer
from streamer.records import Item, Record, Sample, Slice, TopicPartition, Wave

_BATCH = 64
_PROBED = 8
_PATIENCE_S = 10.0


class _Silent:
    """Nobody counts here."""

    def batch_ran(self, **event: Any) -> None:
        del event


class Replay:
    """A topology that answers records as its line does, wave after wave, in the caller's thread.

    Where an answer depends on what shares its batch (8-bit models quantised on the fly do), each
    record goes alone, so that the same record always gets the same answer.
    """

    def __init__(
        self,
        topology: Topology,
        file: Path,
        settings: Settings,
        *,
        deployed: Mapping[str, str] | None = None,
        sessions: SessionsOf = open_sessions,
    ) -> None:
        """Load the models.

        Args:
            topology: what answers.
            file: beside which models are looked up.
            settings: where they are looked up else.
            deployed: by registered name, the version that serves; the newest if not told.
            sessions: opens a version's sessions.

        Raises:
            ConfigError: steps, tasks, models and source do not fit together, or the source's
                format lacks its schema registry.
            ModelError: a model does not load.
        """
        self._models = Models(settings.models, sessions)
        self._models.deployed = dict(deployed or {})
        self.assembly = assembled(topology, file, self._models, _Silent())
        form = topology.source.format
        registry = registry_for(form, settings.schema_registry, patience=_PATIENCE_S)
        self._decoder = Decoder(topology.source, self.assembly.kind, registry)
        self._preparer = Preparer(
            self._decoder,
            self.assembly.kind,
            self.assembly.steps,
            topology.source.tombstone,
            settings.line.decode_threads,
        )
        self.one_by_one: bool | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Model and version of each step."""
        return {
            step.name: f"{step.model.name} {step.model.champion.version_name}"
            for step in self.assembly.steps
        }

    @property
    def files(self) -> list[Path]:
        """The model file of each step."""
        return [step.model.champion.version.file for step in self.assembly.steps]

    def answered(self, records: Sequence[Record]) -> Iterator[Item]:
        """Answer records, in their order."""
        if self.one_by_one is None and len(records) > 1:
            self.one_by_one = not self._alike(records[:_PROBED])
        step = 1 if self.one_by_one else _BATCH
        for at in range(0, len(records), step):
            yield from self._wave(records[at : at + step])

    def sample(self, record: Record) -> Sample:
        """Decode a record.

        Raises:
            DecodeError: whatever is wrong with it.
        """
        return self._decoder.decode(record)

    def _alike(self, records: Sequence[Record]) -> bool:
        """Whether records are answered together exactly as each alone."""
        together = self._wave(records)
        alone = [item for record in records for item in self._wave([record])]
        return all(one.answers == other.answers for one, other in zip(together, alone, strict=True))

    def _wave(self, records: Sequence[Record]) -> Sequence[Item]:
        items = tuple(map(Item, records))
        wave = Wave(0, {TopicPartition("", 0): Slice(0, 0, items)}, 0, 0.0)
        self.assembly.enter(wave)
        try:
            self._preparer.prepare(wave, items)
            for step in self.assembly.steps:
                step.finish(step.begin(wave))
        finally:
            self._models.leave(wave)
        return items

    def close(self) -> None:
        """Free the models."""
        self._preparer.close()
        self._models.close()
