"""docs/texts.md: its examples are legal, and it names every task of texts."""

import re
from pathlib import Path

import pytest
import yaml

from streamer.config.options import TaskOptions
from streamer.config.topology import Topology
from streamer.models import Manifest
from streamer.tasks import TASKS, task_named

PAGE = Path(__file__).resolve().parents[3] / "docs" / "texts.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
TOPOLOGIES = [block for block in BLOCKS if "source" in block]


@pytest.mark.parametrize("content", TOPOLOGIES, ids=lambda content: content["name"])
def test_topologies_on_the_page_are_legal_and_their_tasks_take_what_the_source_has(content):
    topology = Topology.model_validate(content)
    for step in topology.steps.values():
        kinds = task_named(step.task or "").kinds
        assert topology.source.format == "json" or topology.source.format in kinds
        assert topology.model_of(step).options.model_fields_set <= set(TaskOptions.model_fields)


def test_manifests_on_the_page_are_legal():
    manifests = [Manifest.model_validate(block) for block in BLOCKS if "inputs" in block]
    assert [manifest.name for manifest in manifests] == ["sentiment"]
    assert len(TOPOLOGIES) == len(BLOCKS) - len(manifests) == 5


def test_every_task_of_texts_and_every_option_is_on_the_page():
    named = {name for name, task in TASKS.items() if task.kinds & {"text", "pair"} or task.writes}
    assert {name for name in named if f"| {name} |" not in TEXT} == set()
    assert {name for name in TaskOptions.model_fields if f"{name}" not in TEXT} == set()
