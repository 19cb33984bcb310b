"""Write the Grafana dashboards of the chart from `dashboards.yaml`: `python helm/dashboards.py`.

What Grafana stores of each panel is long and always the same, so it is made here; a test compares
what is there.
"""
# ruff: noqa: INP001 - a script beside the chart, not a package

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FOLDER = HERE / "streamer" / "dashboards"
ACROSS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_TOPOLOGY = 'namespace=~"$namespace", topology=~"$topology"'
_SELECTORS = {
    "TOPOLOGY": _TOPOLOGY,
    "POD": f'{_TOPOLOGY}, pod=~"$pod"',
    "MODEL": 'namespace=~"$namespace", model=~"$model"',
}
_RED, _AMBER, _GREEN = "red", "orange", "green"


@dataclass(frozen=True)
class Panel:
    """What one panel asks and how it shows it.

    Attributes:
        queries: expressions by their legend.
        steps: thresholds, where the colour turns to amber and to red.
    """

    title: str
    text: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    steps: Sequence[float] = ()

    @property
    def height(self) -> int:
        """Rows of the grid."""
        return 4 if self.kind == "stat" else 8


@cache
def described() -> Any:
    """Read what is to be shown."""
    return yaml.safe_load((HERE / "dashboards.yaml").read_text(encoding="utf-8"))


def dashboard(name: str) -> dict[str, Any]:
    """Make one dashboard as Grafana stores it."""
    title = described()[name]["title"]
    rows = {
        row: [Panel(**panel) for panel in panels]
        for row, panels in described()[name]["rows"].items()
    }
    return {
        "uid": f"streamer-{name}",
        "title": title,
        "tags": ["streamer"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "links": [
            {
                "title": "streamer",
                "type": "dashboards",
                "tags": ["streamer"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": [_annotation(*told) for told in _ANNOTATIONS]},
        "templating": {"list": _variables()},
        "panels": _laid_out(rows),
    }


_ANNOTATIONS = (
    ("swaps", "sum by (model) (increase(streamer_model_swaps_total{MODEL}[1m])) > 0"),
    ("rebalances", "sum by (topology) (increase(streamer_rebalances_total{TOPOLOGY}[1m])) > 0"),
)


def _selecting(expression: str) -> str:
    for word, selector in _SELECTORS.items():
        for end in ("}", ","):
            expression = expression.replace(f"{{{word}{end}", f"{{{selector}{end}")
    return expression


def _annotation(name: str, expression: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": _SOURCE,
        "enable": True,
        "expr": _selecting(expression),
        "iconColor": "blue" if name == "swaps" else "purple",
        "titleFormat": name,
        "step": "60s",
    }


def _variables() -> list[dict[str, Any]]:
    asked = {
        "namespace": "label_values(streamer_build_info, namespace)",
        "topology": 'label_values(streamer_topology_info{namespace=~"$namespace"}, topology)',
        "pod": 'label_values(streamer_build_info{namespace=~"$namespace"}, pod)',
        "model": 'label_values(streamer_model_info{namespace=~"$namespace"}, model)',
    }
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        *(
            {
                "name": name,
                "type": "query",
                "label": name.capitalize(),
                "datasource": _SOURCE,
                "query": {"query": query, "refId": name},
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                # Outside Kubernetes namespace and pod are missing: this matches that too.
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }
            for name, query in asked.items()
        ),
    ]


def _laid_out(rows: dict[str, list[Panel]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows.items():
        place = {"x": 0, "y": top, "w": ACROSS, "h": 1}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": title, "gridPos": place, "panels": []}
        )
        top, left = top + 1, 0
        for panel in panels:
            if left + panel.width > ACROSS:
                top, left = top + panel.height, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            made.append({"id": len(made) + 1, **_shown(panel), "gridPos": place})
            left += panel.width
        top += panels[-1].height
    return made


def _shown(panel: Panel) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": _selecting(expression),
                "legendFormat": legend or "__auto",
                "instant": instant,
                "range": not instant,
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for number, (legend, expression) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.kind),
        **_without_time(panel.kind),
    }


def _field(panel: Panel) -> dict[str, Any]:
    colours = ((None, _GREEN), *zip(panel.steps, (_AMBER, _RED), strict=False))
    field: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in colours],
        },
    }
    if panel.kind == "timeseries":
        field["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return field


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "none"}
    if kind == "table":
        return {"showHeader": True, "footer": {"show": False}}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _without_time(kind: str) -> dict[str, Any]:
    if kind != "table":
        return {}
    hidden = {"options": {"excludeByName": {"Time": True}}}
    return {"transformations": [{"id": "organize", **hidden}]}


def write(folder: Path) -> None:
    """Write all dashboards into a folder."""
    for name in described():
        text = json.dumps(dashboard(name), indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
