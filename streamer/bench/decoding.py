"""What scaled decoding gains here, and what it does to answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from streamer.bench.line import waves_of
from streamer.config import Settings
from streamer.config.topology import Topology
from streamer.operate.effect import Effect, effect_of
from streamer.pipeline.assembly import Assembly
from streamer.pipeline.line import CostedPreparer

_MOST = 128


@dataclass(frozen=True)
class Decoding:
    """Exact and scaled decoding of the same pictures.

    Attributes:
        exact_ms: what a picture takes, decoded whole and made into inputs.
        fast_ms: the same, scaled.
        effect: on the first step's answers.
    """

    exact_ms: float
    fast_ms: float
    effect: Effect


def decoding(
    topology: Topology, assembly: Assembly, settings: Settings, values: Sequence[bytes]
) -> Decoding | None:
    """Decode pictures in both ways; None where there is nothing to choose."""
    if assembly.kind != "image" or assembly.longest_edge() is None:
        return None
    chosen = values[:_MOST]
    exact_s, exact = _answered(topology, assembly, settings, chosen, "exact")
    fast_s, fast = _answered(topology, assembly, settings, chosen, "fast")
    pairs = [(a, b) for a, b in zip(exact, fast, strict=True) if a is not None and b is not None]
    effect = effect_of(
        [one for one, _ in pairs],
        [other for _, other in pairs],
        [None] * len(pairs),
        "scaled decoding",
        (1, 1),
        (exact_s, fast_s),
    )
    each = 1000 / len(chosen)
    return Decoding(exact_s * each, fast_s * each, effect)


def _answered(
    topology: Topology,
    assembly: Assembly,
    settings: Settings,
    values: Sequence[bytes],
    decode: Literal["exact", "fast"],
) -> tuple[float, list[Any]]:
    """Answer pictures one after the other; give the seconds of decoding, and the answers."""
    images = topology.source.images.model_copy(update={"decode": decode})
    source = topology.source.model_copy(update={"images": images})
    preparer = CostedPreparer(topology.model_copy(update={"source": source}), assembly, settings)
    seconds, answers = 0.0, []
    first = assembly.steps[0]
    try:
        for wave in waves_of(topology, preparer, values):
            assembly.enter(wave)
            began = perf_counter()
            preparer.prepare(wave, wave.items)
            seconds += perf_counter() - began
            first.finish(first.begin(wave))
            for item in wave.items:
                answer = item.answers.get(first.name)
                answers.append(None if answer is None else answer.output)
            assembly.models.leave(wave)
    finally:
        preparer.close()
    return seconds, answers
