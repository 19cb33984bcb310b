"""The stages between Kafka and Kafka that do the work, as threads run them."""

from collections.abc import Sequence
from functools import partial

from streamer.pipeline.prepare import Preparer
from streamer.pipeline.step import Step
from streamer.runtime import Stage


def working_stages(preparer: Preparer, steps: Sequence[Step]) -> list[Stage]:
    """Lay out decoding and the steps: what begins work and what waits for it are two threads."""
    stages = [
        Stage("decode", partial(map, preparer.begin)),
        Stage("decoded", partial(map, preparer.finish)),
    ]
    for step in steps:
        stages += [
            Stage(f"batch-{step.name}", partial(map, step.begin)),
            Stage(f"infer-{step.name}", partial(map, step.finish)),
        ]
    return stages
