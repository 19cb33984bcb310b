"""What the live page shows of a real sidecar, of its runs, and of the candidates that it makes."""

import json
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

import pytest
from playwright.sync_api import expect
from support import learning
from support.page import metric
from support.waiting import eventually

from streamer.deployments import promoting, rolling_back
from streamer.operate.rollout import Asked, begin
from streamer.retraining.progress import STAGES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FIRST = 900
NOTE_RUNS = """
    window.noted = [];
    setInterval(() => {
        for (const row of document.querySelectorAll("#runs tr")) {
            const [model, run, state] = [...row.cells].map(cell => cell.textContent);
            const bar = row.querySelector("progress");
            if (bar) window.noted.push([model, run, state, bar.value]);
        }
    }, 20);
"""


def asked(sidecar, path):
    """Ask the sidecar at the address that it tells."""
    found = eventually(
        lambda: sidecar.alive() or sidecar.said("answers probes and scrapes"), "its address"
    )
    with urllib.request.urlopen(found[0]["url"] + path, timeout=10) as answer:  # noqa: S310
        return answer.read().decode()


def percent(share: float) -> str:
    """Round as the browser does: halves up."""
    places = Decimal("0.1") if share < 0.1 else Decimal(1)
    return f"{Decimal(share * 100).quantize(places, ROUND_HALF_UP)} %"


def test_a_run_its_version_and_its_candidates_are_shown_as_they_are(taught):
    world, watched = taught.world, taught.watched
    watched.page.evaluate(NOTE_RUNS)
    world.configure(rollout={"mode": "canary", "share": "25%", "rules": {"decide": "nothing"}})
    sidecar = world.sidecar()
    collects_learns_and_tells(taught)
    states = {row[3]: row[2] for row in watched.rows("#daemons")}
    assert states == {"learns": "answers", world.topology["name"]: "answers"}
    its_candidate_and_accuracy_are_shown(taught, sidecar)
    a_shadows_agreement_is_shown(taught)
    promoted = promoting("2", by="a test", reason="it is good")
    world.ledger().change(world.model, "promote", promoted)
    eventually(
        lambda: (taught.model()["version"], taught.model()["served"]) == ("2", "1 of 1 daemons"),
        "the promoted version is shown",
    )
    assert taught.model()["beside"] == ""
    told = [world.model, "promote", "1 → 2 by a test: it is good"]
    eventually(lambda: told in [row[1:] for row in watched.rows("#events")], "it is told who did")
    assert sidecar.stop() == 0
    assert watched.complaints == []


def collects_learns_and_tells(taught):
    """Labels come until a run is due; the page shows its stages as the events topic tells them."""
    world, watched = taught.world, taught.watched
    world.send(FIRST)
    truths = world.truths()
    answers = learning.answered(world.topics, world.sink, FIRST)
    places = [
        (one["source"], (one["source"]["partition"], one["source"]["offset"])) for one in answers
    ]
    labels = [learning.label_of(source, truths[place], reason="random") for source, place in places]
    world.topics.send(world.labels, labels[:300])
    expect(watched.page.locator("#runs")).to_contain_text("300 labels of 600", timeout=120_000)
    [row] = watched.rows("#runs")
    assert row[:3] == [world.model, "next", "collects"]
    assert watched.page.locator("#runs progress").evaluate("bar => bar.value") == 0.5
    world.topics.send(world.labels, labels[300:])
    expect(watched.page.locator("#runs")).to_contain_text("last run: promote", timeout=120_000)
    told = [
        one.json
        for one in world.topics.read(world.environment["DEPLOYMENTS__EVENTS_TOPIC"])
        if one.key == f"retraining/{world.model}".encode()
    ]
    during = {one["stage"] for one in told if one["run"] == 1}
    seen = {
        (state, value)
        for model, run, state, value in watched.page.evaluate("window.noted")
        if (model, run) == (world.model, "1") and state in STAGES
    }
    assert seen, "the run was shown while it went on"
    assert {state for state, _ in seen} <= during
    for state, value in seen:
        assert value == pytest.approx(STAGES.index(state) / len(STAGES))


def its_candidate_and_accuracy_are_shown(taught, sidecar):
    """What the run made is beside version 1, as the deployments topic and both metrics say."""
    world = taught.world
    canary = world.ledger().read()[world.model]
    assert (canary.champion, canary.candidate, canary.mode) == ("1", "2", "canary")
    eventually(
        lambda: taught.model()["beside"].startswith("2: canary 25 %"), "the candidate is shown"
    )
    info = {"model": world.model, "candidate": "2", "mode": "canary"}
    eventually(
        lambda: metric(taught.daemon.get("/metrics")[1], "rollout_info", **info) == 1,
        "the daemon compares",
    )

    def as_the_sidecar_says() -> bool:
        metrics, champion = asked(sidecar, "/metrics"), {"model": world.model, "version": "1"}
        labelled = metric(metrics, "live_labelled_records", **champion)
        right = metric(metrics, "live_accuracy_ratio", **champion)
        shown = f"{percent(right)} of {labelled:.0f} labelled"
        return labelled > 0 and taught.model()["accuracy"].startswith(shown)

    eventually(as_the_sidecar_says, "the accuracy is the sidecar's")
    assert (taught.model()["version"], taught.model()["served"]) == ("1", "1 of 1 daemons")


def a_shadows_agreement_is_shown(taught):
    """The same version as a shadow: how often it agrees is what the daemon counts."""
    world = taught.world
    world.ledger().change(world.model, "rollback", rolling_back(by="a test"))
    rules = world.folder / "rules.yaml"
    rules.write_text("decide: nothing\n")
    rollout = Asked(world.model, "2", mode="shadow", share="100%", file=rules, by="a test")
    begin(rollout, world.settings())
    eventually(
        lambda: world.send(20) and "2: shadow, agrees on " in taught.model()["beside"],
        "the shadow's agreement is shown",
        60,
        0.5,
    )

    def as_the_daemon_says() -> bool:
        told = json.loads(taught.daemon.get("/status")[1])["rollouts"][world.model]
        return f"agrees on {percent(told['agreement'])}," in taught.model()["beside"]

    eventually(as_the_daemon_says, "the agreement is the daemon's")
