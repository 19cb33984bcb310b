"""A loaded version, asked before it takes traffic: golden records, made-up ones, how long it takes.

Records go one by one: what shares a batch changes the answers of some models (int8 quantised on the
fly, texts padded together), and the golden answers were made one by one too.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter

import numpy as np

from streamer.config.topology import ModelRef, Source, StepConfig
from streamer.decode import Decoder
from streamer.errors import ModelError
from streamer.models.golden import deviation, golden_records
from streamer.pipeline.loaded import ModelVersion
from streamer.pipeline.model import Model
from streamer.pipeline.predictor import Silent, asked
from streamer.pipeline.step import Step
from streamer.records import Image, Item, Pair, Record, Sample, Text

_STEP = "verify"
_SIDES = ((96, 128), (160, 120))
_TEXTS = (
    "A short sentence.",
    "A second one, of some more words, so that the two are not of one length when they meet.",
)
_OWN_STAGES = ("infer", "postprocess")
_ROUNDS = 5
_BATCH = 8


def verify(loaded: ModelVersion) -> None:
    """Ask a version what is kept with it, and what is made up; it must answer in numbers.

    Raises:
        ModelError: it fails on a record, answers no numbers, or other than its golden answers say.
    """
    step = _step(loaded)
    for golden in golden_records(loaded.version.folder):
        source = Source(topics=(_STEP,), format=golden.form)
        decoder = Decoder(source, loaded.preprocessor.kind)
        sample = decoder.decode(Record(_STEP, 0, 0, 0, None, golden.value))
        [item] = asked(step, [sample])
        if item.rejection is not None:
            raise ModelError(f"{golden.told}: {item.rejection.reason}: {item.rejection.message}")
        apart = deviation(golden.output, item.answers[_STEP].output) if golden.output else None
        if apart is not None:
            raise ModelError(f"{golden.told}: not the golden answer: {apart}")
    for sample in made_up_samples(loaded):
        [item] = asked(step, [sample])
        _check_made_up(sample, item)


def warm(loaded: ModelVersion) -> None:
    """Run a batch in each session, so that the first records do not wait for it."""
    samples = list(made_up_samples(loaded))
    given = [inputs for inputs in loaded.preprocessor.prepare(samples) if isinstance(inputs, list)]
    if given:
        for session in loaded.sessions:
            loaded.run(session, given[0][:1])


def seconds_per_item(loaded: ModelVersion) -> float:
    """Measure what an item takes in a batch: the median of some rounds, after one to warm up."""
    step = _step(loaded)
    samples = list(made_up_samples(loaded))
    samples = (samples * _BATCH)[: min(_BATCH, loaded.bounds.items)]
    asked(step, samples)
    return median(_seconds(step, samples) for _ in range(_ROUNDS)) / len(samples)


def made_up_samples(loaded: ModelVersion) -> Iterator[Sample]:
    """Give a few samples of what a version takes; always the same."""
    kind = loaded.preprocessor.kind
    if kind == "image":
        chance = np.random.default_rng(0)
        for height, width in _SIDES:
            ramp = np.linspace(0, 155, width).astype(np.uint8)[None, :, None]
            noise = chance.integers(0, 100, (height, width, 3), dtype=np.uint8)
            yield Image(noise + ramp)
    elif kind == "pair":
        yield Pair(*_TEXTS)
        yield Pair(_TEXTS[1], _TEXTS[1])
    else:
        yield from map(Text, _TEXTS)


def _seconds(step: Step, samples: Sequence[Sample]) -> float:
    began = perf_counter()
    asked(step, samples)
    return perf_counter() - began


def _step(loaded: ModelVersion) -> Step:
    model = Model(ModelRef(uri=str(loaded.version.folder)), loaded)
    config = StepConfig(model=_STEP)
    return Step(_STEP, config, loaded.version.manifest.task, model, Silent())


def _check_made_up(sample: Sample, item: Item) -> None:
    rejection = item.rejection
    if rejection is not None and rejection.stage in _OWN_STAGES:
        raise ModelError(
            f"it does not answer a made-up {type(sample).__name__.lower()}: {rejection.reason}: "
            f"{rejection.message}"
        )
