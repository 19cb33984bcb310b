import pytest

from streamer.errors import ConfigError
from streamer.models.location import locate, version_order


@pytest.fixture
def places(tmp_path):
    beside, models = tmp_path / "topologies", tmp_path / "models"
    beside.mkdir()
    models.mkdir()
    return beside, models


def make(folder, name="model.yaml"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("")
    return folder


def found(uri, places):
    return locate(uri, beside=places[0], models_dir=places[1])


def test_beside_the_topology_comes_before_the_models_directory(places):
    second = make(places[1] / "signs")
    assert found("signs", places) == second
    first = make(places[0] / "signs")
    assert found("signs", places) == first
    assert found(str(second), places) == second


def test_the_topology_file_itself_stands_for_its_directory(places):
    make(places[0] / "signs")
    file = places[0] / "street.yaml"
    file.write_text("")
    assert locate("signs", beside=file, models_dir=places[1]) == places[0] / "signs"


def test_of_a_directory_of_versions_the_newest_is_taken(places):
    for version in ("1", "9", "10", "2-rc1", "notes"):
        make(places[1] / "signs" / version, "model.yaml" if version != "notes" else "readme.md")
    assert found("signs", places).name == "10"
    assert found("registry:signs", places).name == "10"
    assert found("registry:signs@9", places).name == "9"


def test_versions_are_ordered_as_people_order_them():
    names = ["beta", "1", "1.9", "1.10", "2", "v3", "10"]
    ordered = sorted(["10", "1.10", "2", "beta", "1.9", "1"], key=version_order)
    assert ordered == [name for name in names if name in ordered]
    assert version_order("v10") > version_order("v9")


def test_what_is_missing_is_said_with_every_place_and_close_names(places):
    make(places[1] / "signs" / "1")
    with pytest.raises(ConfigError) as caught:
        found("sings", places)
    assert str(caught.value) == (
        f"model 'sings': there is neither {places[0] / 'sings'} nor {places[1] / 'sings'}; "
        "did you mean 'signs'?"
    )
    with pytest.raises(ConfigError, match=r"has no 'sgns'; did you mean 'signs'\?"):
        found("registry:sgns", places)
    with pytest.raises(ConfigError, match="has no version '2' of 'signs'; it has 1"):
        found("registry:signs@2", places)


@pytest.mark.parametrize(
    "uri", ["registry:", "registry:../x", "registry:a@", "registry:a@../b", "registry:.."]
)
def test_names_in_the_registry_are_no_paths(places, uri):
    make(places[1] / "a" / "1")
    with pytest.raises(ConfigError, match=r"write registry:NAME|has no version"):
        found(uri, places)


def test_a_file_must_be_a_model_and_a_directory_must_hold_one(places):
    make(places[0], "readme.txt")
    (places[0] / "empty").mkdir()
    with pytest.raises(ConfigError, match="is no model file that is known here"):
        found("readme.txt", places)
    with pytest.raises(ConfigError, match=r"holds no model: expected model\.yaml"):
        found("empty", places)


def test_a_directory_of_models_is_no_directory_of_versions(places):
    make(places[0] / "all" / "mobilenet", "model.onnx")
    make(places[0] / "all" / "yolo", "model.onnx")
    with pytest.raises(ConfigError, match="holds no model"):
        found("all", places)
