"""The loop closes for what learns on a network's own weights."""

import pytest
from support import lessons, trainable
from support.loops import Loop, Task, closes

pytestmark = pytest.mark.torch

SHAPES = ("disc", "square")
BOXES = Task(
    "boxes",
    "image",
    lambda folder: trainable.detector(folder, SHAPES),
    lessons.scenes,
    wrong=([{"label": "disc"}], "wrong-answer"),
    first=360,
    fresh=120,
    step={"threshold": 0.01, "top_k": 300},
    retrain={
        "strategy": {
            "kind": "finetune",
            "training": {"epochs": 12, "learning_rate": 3e-3, "flips": False},
        },
        "gate": {"max_size_ratio": 10},
    },
)


@pytest.mark.timeout(900)
def test_boxes_for_a_daemons_own_answers_bring_a_better_detector_into_service(
    topics, daemons, broker, tmp_path
):
    world = BOXES.world(topics, daemons, broker, tmp_path)
    try:
        closes(Loop(world, BOXES))
    finally:
        world.close()
