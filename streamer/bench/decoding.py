"""What decoding otherwise gains here, scaled or on a GPU, and what it does to answers."""

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

Way = Literal["exact", "fast", "gpu"]


@dataclass(frozen=True)
class Decoding:
    """Exact decoding of pictures beside another way.

    Attributes:
        way: the other one: that of the topology if it has one, else scaled.
        exact_ms: what a picture takes, decoded whole and made into inputs.
        other_ms: the same in the other way.
        effect: on the first step's answers.
    """

    way: Way
    exact_ms: float
    other_ms: float
    effect: Effect


def decoding(
    topology: Topology, assembly: Assembly, settings: Settings, values: Sequence[bytes]
) -> Decoding | None:
    """Decode pictures in both ways; None where there is nothing to choose."""
    way: Way = "gpu" if topology.source.images.decode == "gpu" else "fast"
    if assembly.kind != "image" or (way == "fast" and assembly.longest_edge() is None):
        return None
    chosen = values[:_MOST]
    exact_s, exact = _answered(topology, assembly, settings, chosen, "exact")
    other_s, other = _answered(topology, assembly, settings, chosen, way)
    pairs = [(a, b) for a, b in zip(exact, other, strict=True) if a is not None and b is not None]
    effect = effect_of(
        [one for one, _ in pairs],
        [changed for _, changed in pairs],
        [None] * len(pairs),
        f"decoding ({way})",
        (1, 1),
        (exact_s, other_s),
    )
    each = 1000 / len(chosen)
    return Decoding(way, exact_s * each, other_s * each, effect)


def _answered(
    topology: Topology,
    assembly: Assembly,
    settings: Settings,
    values: Sequence[bytes],
    decode: Way,
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
