"""The first stage: values decoded and made into model inputs, in a pool, chunk by chunk."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Literal

from streamer.decode import Decoder
from streamer.errors import BrokerError, RecordError
from streamer.pipeline.division import DecodeThreads
from streamer.pipeline.step import Step
from streamer.records import Image, Item, Rejection, Sample, Wave

_CHUNK = {"image": 1, "text": 128, "pair": 128}


class Preparer:
    """Decodes records and prepares them for the steps that take the record itself.

    A picture shrinks to the models' inputs in the same task that decodes it; the original is kept
    only where a later step cuts crops from it.
    """

    def __init__(
        self,
        decoder: Decoder,
        kind: Literal["image", "text", "pair"],
        steps: Sequence[Step],
        tombstone: Literal["deadletter", "pass", "drop"],
        threads: int | Literal["auto"],
    ) -> None:
        self._decoder = decoder
        self._chunk = _CHUNK[kind]
        self._steps = [step for step in steps if step.origin is None]
        self._keep_image = any(step.origin is not None for step in steps)
        self._tombstone = tombstone
        self._pool = DecodeThreads(threads)

    @property
    def threads(self) -> int:
        """Threads that decode at once while a backlog waits."""
        return self._pool.threads

    def begin(self, wave: Wave) -> tuple[Wave, list[Future[None]]]:
        """Start a wave's chunks."""
        items = wave.items
        self._pool.begin()
        chunks = [items[at : at + self._chunk] for at in range(0, len(items), self._chunk)]
        return wave, [self._pool.submit(self.prepare, wave, chunk) for chunk in chunks]

    def finish(self, begun: tuple[Wave, list[Future[None]]]) -> Wave:
        """Wait for a wave's chunks."""
        wave, chunks = begun
        for chunk in chunks:
            chunk.result()
        self._pool.finish()
        return wave

    def prepared(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Prepare waves one after the other, without a pool."""
        for wave in waves:
            self.prepare(wave, wave.items)
            yield wave

    def prepare(self, wave: Wave, items: Sequence[Item]) -> None:
        """Decode items of a wave and make their model inputs."""
        decoded: list[Item] = []
        samples: list[Sample] = []
        for item in filter(lambda item: item.alive, items):
            if item.record.value is None:
                self._bury(item)
                continue
            if self._recalled(wave, item):
                continue
            sample = self._decoded(item)
            if sample is not None:
                samples.append(sample)
                decoded.append(item)
        for step in self._steps:
            if decoded:
                step.prepare(wave, decoded, samples)
        if self._keep_image:
            for item, sample in zip(decoded, samples, strict=True):
                if isinstance(sample, Image):
                    item.image = sample

    def _decoded(self, item: Item) -> Sample | None:
        """Decode an item's value; None if it is rejected."""
        try:
            return self._decoder.decode(item.record)
        except BrokerError:  # no fault of the record: nothing of the wave is committed
            raise
        except RecordError as error:
            reason = error.reason
            failure: Exception = error
        except Exception as error:  # noqa: BLE001 - a codec that trips over one value
            reason = "decode-failed"
            failure = error
        kind = type(failure).__name__
        item.rejection = Rejection("decode", None, reason, kind, str(failure))
        return None

    def _recalled(self, wave: Wave, item: Item) -> bool:
        """Answer a record as one with the same value before, if every step still knows how."""
        if self._keep_image or not self._steps:
            return False
        known = {}
        for step in self._steps:
            answer = step.recalled(wave, item)
            if answer is None:
                return False
            known[step.name] = answer
        item.answers.update(known)
        item.recalled = True
        return True

    def _bury(self, item: Item) -> None:
        """Decide what becomes of a record with a null value."""
        if self._tombstone == "pass":
            item.tombstone = True
        elif self._tombstone == "drop":
            item.dropped = True
        else:
            message = "the value is null (source.tombstone says what to do with such records)"
            item.rejection = Rejection("decode", None, "null-value", "DecodeError", message)

    def close(self) -> None:
        """End the pool."""
        self._pool.close()
