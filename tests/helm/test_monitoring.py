"""Dashboards and rules: they ask for what the daemon exposes, and every alert has its page."""

import importlib.util
import json
import re

import promql_parser
import pytest
from support import chart

from streamer.telemetry import Metrics
from streamer.telemetry.retraining import RetrainingMetrics

RUNBOOKS = chart.ROOT / "docs" / "runbooks"
EXPRESSIONS = list(chart.expressions())
# The Prometheus client's own families that are asked for.
OF_THE_CLIENT = {
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}


FAMILIES = [*Metrics().families.made, *RetrainingMetrics().families.made]


def exposed() -> set[str]:
    families = FAMILIES
    recorded = {rule["record"] for rule in chart.rules() if "record" in rule}
    return {name for family in families for name in family.series} | recorded | OF_THE_CLIENT


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[at for at, _ in EXPRESSIONS])
def test_an_expression_parses_and_asks_only_for_what_there_is(place, expression):
    promql_parser.parse(expression)
    names = chart.metric_names(expression)
    assert names, expression
    assert names <= exposed(), f"{place}: {sorted(names - exposed())}"


def test_the_clients_own_families_are_there():
    told = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    assert told >= OF_THE_CLIENT


def test_labels_in_rules_and_dashboards_are_labels_of_the_metric():
    labels = {
        name: {*family.labels, "le", "namespace", "job", "pod", "instance"}
        for family in FAMILIES
        for name in family.series
    }
    for place, expression in EXPRESSIONS:
        for name, selector in re.findall(r"(streamer_\w+)\{([^}]*)\}", expression):
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert used <= labels[name], f"{place}: {name} has no {used - labels[name]}"
        names = chart.metric_names(expression) & set(labels)
        there = set().union(*(labels[name] for name in names)) if names else None
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            by = {label.strip() for label in grouped.split(",")}
            assert there is None or by <= there, f"{place}: nobody has {by - there}"


def test_every_metric_but_those_for_joining_is_shown_or_watched():
    asked = {name for _, expression in EXPRESSIONS for name in chart.metric_names(expression)}
    unseen = {family.name for family in FAMILIES if asked.isdisjoint(family.series)}
    unseen.discard("streamer_topology_info")  # the dashboards' variables ask for it
    assert not unseen, "add a panel to helm/dashboards.yaml, then run: python helm/dashboards.py"


@pytest.mark.parametrize("alert", chart.alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_has_a_severity_a_summary_a_threshold_and_a_runbook(alert):
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"]["summary"]
    assert re.search(r"[<>] [0-9.]+$", alert["expr"].strip()), "values may override the threshold"
    page = (RUNBOOKS / f"{alert['alert']}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert['alert']}\n")
    for heading in ("## What it means", "## Look at", "## Do"):
        assert heading in page


def test_no_runbook_is_without_its_alert():
    pages = {page.stem for page in RUNBOOKS.glob("*.md")}
    assert pages == {alert["alert"] for alert in chart.alerts()}


@pytest.mark.parametrize("dashboard", chart.DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_says_what_each_panel_shows_and_in_what_unit(dashboard):
    content = json.loads(dashboard.read_text(encoding="utf-8"))
    assert content["uid"] == f"streamer-{dashboard.stem}"
    ids = [panel["id"] for panel in content["panels"]]
    assert len(ids) == len(set(ids))
    for panel in chart.panels(dashboard):
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    variables = {variable["name"] for variable in content["templating"]["list"]}
    text = dashboard.read_text(encoding="utf-8")
    assert set(re.findall(r"\$(namespace|topology|model|pod)", text)) <= variables


def test_panels_lie_beside_each_other_not_on_each_other():
    for dashboard in chart.DASHBOARDS:
        content = json.loads(dashboard.read_text(encoding="utf-8"))
        taken = set()
        for panel in content["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert taken.isdisjoint(cells), f"{dashboard.name}: {panel['title']}"
            taken |= cells


def test_the_dashboards_are_what_their_description_makes(tmp_path):
    script = chart.ROOT / "helm" / "dashboards.py"
    spec = importlib.util.spec_from_file_location("dashboards", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path)
    for made in tmp_path.iterdir():
        there = chart.CHART / "dashboards" / made.name
        assert there.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
            "run: python helm/dashboards.py"
        )
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in chart.DASHBOARDS}


def test_the_rules_hold_on_made_up_series():
    tests = chart.RULES.with_name("streamer_test.yaml")
    done = chart.run(chart.tool("promtool"), "test", "rules", str(tests))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_made_to_fire_by_a_test_of_the_rules():
    text = chart.RULES.with_name("streamer_test.yaml").read_text(encoding="utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", text))
    assert fired == {alert["alert"] for alert in chart.alerts()}
