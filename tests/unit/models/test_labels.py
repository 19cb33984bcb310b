"""Files of labels, and what becomes of them in a version."""

import pytest
import yaml
from support.tiny import picture_model

from streamer.errors import ModelError
from streamer.models.labels import labels_beside, read_labels
from streamer.models.version import load_version

TABLE = "index,label,parent\n1,beagle,dog\n0,poodle,dog\n2,tabby,cat\n,dog,animal\n,cat,animal\n"


def test_a_list_has_a_label_a_line(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("red\ngreen light\n\nblue\n", encoding="utf-8")
    assert read_labels(file) == ({0: "red", 1: "green light", 2: "", 3: "blue"}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("coco.names", "person\nbicycle\nfire hydrant\n"),
        ("labels.txt", "0 person\n1 bicycle\n2 fire hydrant\n"),
        ("labels.txt", "2: fire hydrant\r\n0: person\r\n1: bicycle"),
        ("labels.json", '["person", "bicycle", "fire hydrant"]'),
        ("labels.json", '{"1": ["n02", "bicycle"], "0": ["n01", "person"], "2": "fire hydrant"}'),
        ("labels.json", '{"person": 0, "fire hydrant": 2, "bicycle": 1}'),
    ],
)
def test_labels_are_read_as_they_are_often_written(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    labels, parents = read_labels(file)
    assert labels == {0: "person", 1: "bicycle", 2: "fire hydrant"}
    assert not parents


def test_what_a_numbered_list_leaves_out_has_its_number_for_a_name(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("0 person\n1 bicycle\n3 car\n", encoding="utf-8")
    assert read_labels(file)[0] == {0: "person", 1: "bicycle", 2: "LABEL_2", 3: "car"}


def test_labels_that_begin_with_a_number_are_not_taken_for_a_numbered_list(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("2 stroke engine\n4 stroke engine\nwankel\n", encoding="utf-8")
    assert read_labels(file)[0][0] == "2 stroke engine"
    file.write_text("50 euro\n100 euro\n200 euro\n", encoding="utf-8")
    assert read_labels(file)[0] == {0: "50 euro", 1: "100 euro", 2: "200 euro"}


@pytest.mark.parametrize("text", ["{", '"cat"', '{"cat": "dog"}', "[1, 2]"])
def test_json_of_something_else_is_no_list_of_labels(tmp_path, text):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ModelError, match=r"labels\.json: (is no JSON|expected|a label is)"):
        read_labels(tmp_path / "labels.json")


def test_the_labels_of_a_bare_file_are_found_beside_it(tmp_path):
    model = tmp_path / "signs.onnx"
    assert labels_beside(model) is None
    for name in ("voc.names", "classes.txt", "labels.txt", "signs_labels.txt", "signs.names"):
        (tmp_path / name).write_text("a\n")
        assert labels_beside(model) == tmp_path / name
    (tmp_path / "other.onnx.txt").write_text("a\n")
    assert labels_beside(tmp_path / "none" / "signs.onnx") is None


def test_a_table_has_parents_too(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("\ufeff" + TABLE, encoding="utf-8")
    labels, parents = read_labels(file)
    assert labels == {0: "poodle", 1: "beagle", 2: "tabby"}
    assert parents == {
        "poodle": "dog",
        "beagle": "dog",
        "tabby": "cat",
        "dog": "animal",
        "cat": "animal",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label\ncat\n", "line 1: expected index,label"),
        ("index,label\n0,\n", "line 2: expected an index"),
        ("index,label\nx,cat\n", "line 2: expected an index"),
        ("index,label\n0,cat\n0,dog\n", "line 3: index 0 is there twice"),
        ("index,label,parent\n0,cat,a\n1,cat,b\n", "line 3: 'cat' has two parents"),
        ("index,label,parent\n0,cat,pet\n,pet,cat\n", "'cat' is its own parent, by way of 'cat'"),
    ],
)
def test_what_is_no_table_of_labels_is_refused(tmp_path, text, said):
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        read_labels(file)


@pytest.fixture
def version(tmp_path):
    """Makes a version whose labels are in a file."""

    def make(text, **changed):
        folder = picture_model(tmp_path, "colours")
        manifest = yaml.safe_load((folder / "model.yaml").read_text())
        manifest |= {"labels": "labels.csv", **changed}
        if "id2label" not in changed:
            del manifest["id2label"]
        (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
        (folder / "labels.csv").write_text(text)
        return load_version("colours", beside=tmp_path, models_dir=tmp_path)

    return make


def test_a_version_s_labels_may_be_in_a_file(version):
    manifest = version(TABLE, parents={"animal": "thing"}).manifest
    assert manifest.id2label == {0: "poodle", 1: "beagle", 2: "tabby"}
    assert manifest.parents["animal"] == "thing"
    assert manifest.parents["tabby"] == "cat"


def test_labels_are_in_a_file_or_in_the_manifest(version):
    with pytest.raises(ModelError, match="write labels or id2label, not both"):
        version(TABLE, id2label=["a"])
    with pytest.raises(ModelError, match="indices must run from 0"):
        version("index,label\n1,beagle\n")
