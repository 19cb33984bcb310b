from pathlib import Path

import pytest

from streamer.config.settings import ModelSettings
from streamer.operate.spec import asyncapi, prediction_schema

FOLDER = Path(__file__).parents[3] / "topologies"
TOPOLOGIES = sorted(file for file in FOLDER.glob("*.yaml") if file.name != "retrain.yaml")

STREET = """\
name: street
source: {topics: [photos], format: image}
models: {signs: {uri: x}, kinds: {uri: y}}
steps:
  detect: {model: signs, task: object-detection}
  kind: {model: kinds, task: image-classification, from: detect.crops}
sink: {topic: out}
"""


@pytest.fixture
def street(tmp_path):
    file = tmp_path / "street.yaml"
    file.write_text(STREET)
    return file


def test_the_schema_has_each_step_with_its_task_and_crops_as_a_list(street):
    schema = prediction_schema(street, ModelSettings())
    steps = schema["properties"]["predictions"]["properties"]
    assert steps["detect"]["properties"]["task"] == {"const": "object-detection"}
    assert "box" in steps["detect"]["properties"]["output"]["items"]["properties"]
    crop = steps["kind"]["properties"]["output"]["items"]["properties"]
    assert set(crop) == {"item", "box", "output"}


def test_the_document_has_every_topic_and_only_references_that_lead_somewhere(street):
    document = asyncapi(street, ModelSettings())
    assert {channel["address"] for channel in document["channels"].values()} == {
        "photos",
        "out",
        "out.deadletters",
    }
    for reference in references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)


@pytest.mark.parametrize("file", TOPOLOGIES, ids=lambda file: file.stem)
def test_every_topology_of_the_project_has_a_document(file):
    assert asyncapi(file, ModelSettings())["info"]["title"]
