"""The loop closes for every task that learns without Torch."""

import pytest
from support.loops import TASKS, Loop, closes


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TASKS)
def test_labels_for_a_daemons_own_answers_bring_a_better_version_into_service(
    topics, daemons, broker, tmp_path, name
):
    world = TASKS[name].world(topics, daemons, broker, tmp_path)
    try:
        closes(Loop(world, TASKS[name]))
    finally:
        world.close()
