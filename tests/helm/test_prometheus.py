"""Dashboards asked of a real Prometheus that scrapes a real daemon: what is drawn is not empty."""

import json
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
import yaml
from support import chart, tiny
from support.topics import Sent
from support.waiting import eventually

from streamer.embedded.ports import free_ports

# What is empty in a quiet minute of one daemon without GPU, registry, TLS and rollouts.
QUIET = {
    "model.json: Candidates",
    "model.json: Records judged",
    "model.json: Failed",
    "model.json: Time an item",
    "model.json: Best scores",
    "model.json: Agreement of a shadow",
    "model.json: Passed over by a shadow",
    "model.json: On the CPU instead of a GPU",
    "model.json: Nodes by provider",
    "kafka.json: Certificates",
    "overview.json: Time to drain",  # there is no lag that falls
}


@contextmanager
def prometheus(folder, target):
    """Prometheus with the chart's rules; gives its address."""
    [port] = free_ports(1)
    labels = {"namespace": "here", "pod": "pod-0"}
    scrape = {"job_name": "streamer", "static_configs": [{"targets": [target], "labels": labels}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(chart.RULES)],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - a tool of the tests
            [
                chart.tool("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def asked(address, expression):
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as answer:  # noqa: S310
        return json.load(answer)["data"]["result"]


@pytest.mark.timeout(300)
def test_every_panel_has_something_to_show(topics, daemons, tmp_path):
    for name in ("prometheus", "promtool"):
        chart.tool(name)
    tiny.text_model(daemons.folder / "models")
    source, sink, letters = (topics.make() for _ in range(3))
    topology = {
        "name": f"watched-{sink[-8:]}",
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "deadletter": {"topic": letters},
    }
    with daemons.running(topology) as daemon:
        target = daemon.url.removeprefix("http://")
        with prometheus(tmp_path, target) as address:
            eventually(lambda: _up(address), "Prometheus scrapes")

            def shown():
                """Some traffic, and then whether all panels show something."""
                topics.send(source, [Sent(b"good")] * 5 + [Sent(b"\xff")])
                found = _empty(address) - QUIET
                print(sorted(found))  # noqa: T201 - of a failed test, the last is what was missing
                return not found

            eventually(shown, "every panel shows something", every=1.0)
        told = daemon.get("/metrics")[1]
    checked = chart.run(chart.tool("promtool"), "check", "metrics", given=told)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _empty(address):
    return {
        place
        for place, expression in chart.expressions()
        if place.partition(":")[0].endswith(".json")
        and not place.startswith("retraining.json")  # the sidecar's own metrics
        and not place.endswith((": swaps", ": rebalances"))
        and not asked(address, expression.replace("[5m]", "[20s]"))
    }


def _up(address):
    try:
        return asked(address, "streamer_build_info")
    except OSError:
        return None
