"""The chart's values, schema and templates fit each other and the daemon; needs no helm."""

import re
from collections.abc import Iterator

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry
from support import chart

import streamer
from streamer.cli.app import app
from streamer.config import Settings, load_topology
from streamer.config.sources import places, variable
from streamer.endpoints.application import application
from streamer.retraining.config import load_retrain


class Well:
    """A process that is well."""

    def started(self):
        return True, ""

    ready = live = started


FREE = {
    "commonLabels",
    "topologies",
    "retraining",
    "annotations",
    "labels",
    "overrides",
    "resources",
}


def leaves(section: dict, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in section.items():
        if isinstance(value, dict) and value and key not in FREE:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key)


def described(at: tuple[str, ...]) -> dict:
    schema = chart.schema()
    found = schema
    for key in at:
        if "$ref" in found:
            found = schema["$defs"][found["$ref"].rpartition("/")[2]]
        assert key in found.get("properties", {}), f"{'.'.join(at)} is not in the schema"
        found = found["properties"][key]
    return found


def schema_keys(found: dict, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if "$ref" in found:
        found = chart.schema()["$defs"][found["$ref"].rpartition("/")[2]]
    for key, inner in found.get("properties", {}).items():
        yield (*at, key)
        yield from schema_keys(inner, (*at, key))


def test_the_defaults_are_what_the_schema_describes_and_nothing_is_missing():
    jsonschema.Draft202012Validator.check_schema(chart.schema())
    jsonschema.validate(chart.values(), chart.schema())
    for at in leaves(chart.values()):
        described(at)
    for at in schema_keys(chart.schema()):
        found = chart.values()
        if at[0] == "global" or at[:3] == ("daemon", "resources", "claims"):
            continue
        for key in at:
            assert key in found, f"values.yaml lacks {'.'.join(at)}"
            found = found[key]


@pytest.mark.parametrize("example", chart.EXAMPLES, ids=lambda path: path.stem)
def test_an_example_fits_the_schema_and_its_topologies_are_topologies(example, tmp_path):
    given = yaml.safe_load(example.read_text(encoding="utf-8"))
    jsonschema.validate(given, chart.schema())
    for name, entry in given["topologies"].items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"name": name, **entry["topology"]}), encoding="utf-8")
        assert load_topology(file).name == name


def test_the_sidecars_file_of_the_example_is_one(tmp_path):
    given = yaml.safe_load((chart.CHART / "examples" / "large.yaml").read_text(encoding="utf-8"))
    [(name, sidecar)] = given["retraining"].items()
    entry = given["topologies"][sidecar["topology"]]
    topology = tmp_path / f"{name}.yaml"
    topology.write_text(yaml.safe_dump({"name": name, **entry["topology"]}), encoding="utf-8")
    file = tmp_path / "retrain.yaml"
    written = {"topology": topology.name, **sidecar["file"]}
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    assert load_retrain(file).model == "registry:intents"


@pytest.mark.parametrize(
    "wrong",
    [
        {"topologys": {}},
        {"kafka": {"password": "hush"}},
        {"daemon": {"replicas": "two"}},
        {"topologies": {"Intents": {"topology": {"source": {"topics": ["a"]}, "sink": {}}}}},
        {"topologies": {"intents": {"daemon": {}}}},
        {"topologies": {"a": {"topology": {"source": {"topics": []}, "sink": {}}}}},
        {"image": {"digest": "latest"}},
        {"monitoring": {"rules": {"overrides": {"StreamerLagTooOld": {"treshold": 3}}}}},
    ],
)
def test_a_mistake_in_the_values_is_refused(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, chart.schema())


def test_every_value_is_used_and_every_value_used_is_there():
    used = set()
    for text in chart.templates().values():
        for path in re.findall(r"(?:\$|\b|\()(?:\.root)?\.Values\.([A-Za-z.]+[A-Za-z])", text):
            used.add(tuple(path.split(".")))
    text = "\n".join(chart.templates().values())
    for at in used:
        found = chart.values()
        for key in at:
            assert key in found, f"values.yaml lacks {'.'.join(at)}"
            found = found[key]
    for at in leaves(chart.values()):
        assert re.search(rf"\.{at[-1]}\b", text), f"no template uses {'.'.join(at)}"


def test_every_value_has_a_comment_or_a_name_that_says_it():
    lines = (chart.CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    tops = [n for n, line in enumerate(lines) if re.match(r"\w+:", line)]
    documented = [n for n in tops if lines[n - 1].startswith("#") or lines[n].endswith(":")]
    assert tops == documented


def test_variables_commands_and_paths_in_the_chart_are_the_daemons():
    text = "\n".join(chart.templates().values())
    for example in (*chart.EXAMPLES, chart.CHART / "values.yaml"):
        text += example.read_text(encoding="utf-8")
    known = {variable(at) for at in places(Settings)}
    for name in set(re.findall(r"\bSTREAMER_[A-Z_]+", text)) - {"STREAMER_PORT"}:
        assert name.removesuffix("_FILE") in known or name in known, name
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for command in re.findall(r"args: \[(\w+)", text):
        assert command in commands
    routes = {route.path for route in application(Well(), CollectorRegistry(), dict).routes}
    for path in re.findall(r"httpGet: \{path: (\S+?),", text):
        assert path in routes


def test_the_chart_installs_this_version():
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert about["appVersion"] == streamer.__version__


def test_no_secret_is_made_or_taken_from_values():
    text = "\n".join(chart.templates().values())
    assert "kind: Secret" not in text
    keys = {key for at in leaves(chart.values()) for key in at}
    assert not {key for key in keys if key.lower() in ("password", "secret", "token")}
