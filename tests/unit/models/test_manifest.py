import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from streamer.models import manifest as module
from streamer.models.manifest import Manifest
from streamer.tasks import task_named

DOCS = Path(__file__).resolve().parents[3] / "docs" / "models.md"
DETECTORS = DOCS.with_name("detectors.md")
SECTIONS = (
    module.ImageInput,
    module.TextInput,
    module.ConstantInput,
    module.ImageBytesInput,
    module.ImageSizeInput,
    module.Output,
    module.Nms,
    module.Postprocess,
    module.BatchLimits,
    Manifest,
)
SMALL = {
    "name": "m",
    "task": "image-classification",
    "inputs": {"x": {"kind": "image", "size": {"height": 4, "width": 4}}},
    "outputs": {"y": {"decode": "logits"}},
}


def test_the_documentation_s_examples_are_manifests():
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    manifests = [Manifest.model_validate(yaml.safe_load(block)) for block in blocks]
    assert len(manifests) >= 9
    for manifest in manifests:
        assert task_named(manifest.task).name == manifest.task
        kinds = {given.kind for given in manifest.inputs.values()}
        assert kinds & {"image", "text"}, manifest.name


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_documented(section):
    text = documented()
    assert [key for key in section.model_fields if f"`{key}`" not in text] == []


def test_every_decoding_is_documented():
    text = documented()
    choices = module.Output.model_fields["decode"].annotation.__args__
    assert [choice for choice in choices if f"| `{choice}`" not in text] == ["sizes", "offsets"]


def test_what_is_said_of_well_known_detectors_is_legal():
    text = DETECTORS.read_text(encoding="utf-8")
    told = re.findall(r"`(?:\w+: )?(\{(?:decode|kind): [^`]*\})`", text)
    assert len(told) > 40
    for one in map(yaml.safe_load, told):
        section = module.Output if "decode" in one else module.ImageSizeInput
        assert section.model_validate(one)


def documented() -> str:
    return DOCS.read_text(encoding="utf-8") + DETECTORS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        (["a", "b"], {0: "a", 1: "b"}),
        ({0: 0, 1: 1}, {0: "0", 1: "1"}),
        ({"1": "b", "0": "a"}, {0: "a", 1: "b"}),
    ],
)
def test_labels_may_be_a_list_numbers_or_keyed_by_text(labels, read):
    assert Manifest.model_validate({**SMALL, "id2label": labels}).id2label == read


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id2label": {0: "a", 2: "c"}}, r"indices must run from 0 without gaps; missing \[1\]"),
        ({"id2label": {0: True}}, "valid string"),
        ({"name": "../up"}, "match pattern"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate({**SMALL, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": {"height": 4}}, "write {height: H, width: W} or {shortest_edge: S}"),
        ({"size": {"height": 4, "shortest_edge": 4}}, "write {height: H, width: W}"),
        ({"size": {}, "resize": "stretch"}, "stretch needs size"),
        ({"resize": "fit"}, "fit needs size: {longest_edge: L}"),
        ({"size": {"longest_edge": 4}, "crop_pct": 0.9}, "crop_pct needs"),
        ({"pad_size": {"height": 4, "width": 4}, "size_divisor": 2}, "not both"),
        ({"scale": 0}, "scale must not be 0"),
        ({"do_center_crop": True}, "do_center_crop needs crop_size"),
        ({"image_mean": [1, 2]}, r"image_mean needs 3 value\(s\)"),
        ({"image_std": [1, 0, 1]}, "image_std must not be 0"),
        ({"resize": "letterbox", "size": {"shortest_edge": 4}}, "letterbox needs size"),
    ],
)
def test_a_picture_s_rules_must_make_sense(change, said):
    image = {**SMALL["inputs"]["x"], **change}
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate({**SMALL, "inputs": {"x": image}})
