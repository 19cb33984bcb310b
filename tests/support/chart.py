"""The Helm chart as tests read it, and the tools that render and check it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "streamer"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
RULES = CHART / "rules" / "streamer.yaml"
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
TOOLS = ROOT / ".tools"
_KUBERNETES = "1.33.0"
_VARIABLES = {
    "$__rate_interval": "5m",
    "$namespace": ".*",
    "$topology": ".*",
    "$model": ".*",
    "$pod": ".*",
}


def tool(name: str) -> str:
    """Find a program; a test that needs a missing one is skipped, or fails where all must be."""
    found = shutil.which(name, path=f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        told = f"platform: {name} is not installed here (make helm-tools)"
        if os.environ.get("STREAMER_TEST_TOOLS"):
            pytest.fail(told)
        pytest.skip(told)
    return found


def run(*command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool and take what it says."""
    return subprocess.run(  # noqa: S603 - tools of this project, called by tests
        command, input=given, capture_output=True, text=True, check=False
    )


def rendered(*files: Path, values: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Render the chart with values files and `--set` values; give its objects."""
    done = templated(*files, values=values)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def templated(*files: Path, values: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Render the chart; errors are for the caller."""
    given = [f"--values={file}" for file in files] + [f"--set-json={value}" for value in values]
    return run(
        *(tool("helm"), "template", "live", str(CHART), "--namespace=here"),
        *(f"--kube-version={_KUBERNETES}", *given),
    )


def of_kind(objects: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Pick objects of one kind."""
    return [found for found in objects if found["kind"] == kind]


def values() -> dict[str, Any]:
    """Give the chart's default values."""
    return _yaml(CHART / "values.yaml")


def schema() -> dict[str, Any]:
    """Give the schema of the values."""
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def templates() -> dict[str, str]:
    """Give the templates' text by file name."""
    files = (path for path in (CHART / "templates").rglob("*") if path.is_file())
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def alerts() -> list[dict[str, Any]]:
    """Give the alerting rules."""
    return [rule for rule in rules() if "alert" in rule]


def rules() -> list[dict[str, Any]]:
    """Give all rules."""
    return [rule for group in _yaml(RULES)["groups"] for rule in group["rules"]]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """Give a dashboard's panels but its rows."""
    content = json.loads(dashboard.read_text(encoding="utf-8"))
    return [panel for panel in content["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Give every expression of dashboards and rules with its place, variables filled in."""
    for rule in rules():
        yield f"rules: {rule.get('alert') or rule['record']}", rule["expr"]
    for file in DASHBOARDS:
        for panel in panels(file):
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", filled(target["expr"])
        content = json.loads(file.read_text(encoding="utf-8"))
        for annotation in content["annotations"]["list"]:
            yield f"{file.name}: {annotation['name']}", filled(annotation["expr"])


def filled(expression: str) -> str:
    """Put values for Grafana's variables."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def metric_names(expression: str) -> set[str]:
    """Give the names of metrics in an expression, without what is quoted or a label."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|on|group_left|group_right|without|ignoring)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    return set(re.findall(r"\b(?:streamer|process|python)[a-zA-Z0-9_:]*", bare))


@cache
def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
