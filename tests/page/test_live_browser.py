"""The live page, with live data, in a real Chromium."""

import json
import time
from urllib.parse import urlsplit

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from support.page import TOKEN
from support.topics import Sent
from support.waiting import eventually

from streamer.deployments.deployment import Deployment, now
from streamer.deployments.events import Changed, Report, Serves
from streamer.retraining.progress import Told

pytestmark = pytest.mark.browser
MOOD = "91 % of 40 labelled (its random share)"


def shown(watched, topology, name, value):
    eventually(lambda: watched.figure(topology, name) == value, f"{topology}: {name} is {value}")


def test_it_shows_what_metrics_and_topics_say(scene, watched):
    scene.sent(pictures=9, messages=40, bad=3)
    shown(watched, "seen", "Done in all", "9")
    shown(watched, "read", "Done in all", "43")
    for topology in ("seen", "read"):
        done = scene.metric("record_duration_seconds_count", topology=topology)
        dead = scene.metric("deadletters_total", topology=topology)
        assert watched.figure(topology, "Done in all") == f"{done:.0f}"
        assert watched.figure(topology, "Dead letters") == f"{dead:.0f}"
        shown(watched, topology, "Lag, records", "0")
        shown(watched, topology, "Time to drain", "caught up")
        assert scene.metric("consumer_lag_records", topology=topology) == 0
    status = json.loads(scene.daemon.get("/status")[1])["topologies"]
    letters = scene.topics.read(status["read"]["deadletter"], 3)
    rows = eventually(
        lambda: (found := watched.rows("#letters")) and len(found) == 3 and found, "three letters"
    )
    told = {(row[1], row[2].split()[0], row[3], row[4]) for row in rows}
    assert told == {
        (
            "/".join(map(str, letter.source)),
            letter.error("stage"),
            letter.error("reason"),
            letter.error("message"),
        )
        for letter in letters
    }
    answers = {
        "/".join(map(str, answer.source)): answer.json["predictions"]["predict"]["output"][0]
        for answer in scene.topics.read(status["seen"]["sink"], 9)
    }
    captions = watched.page.locator("#pictures figcaption").all_inner_texts()
    assert captions
    for caption in captions:
        topology, source, said = caption.split(" · ")
        assert topology == "seen"
        assert said.startswith(f"{answers[source]['label']} {answers[source]['score']:.3g}")
    widths = watched.page.locator("#pictures img").evaluate_all(
        "all => all.map(i => i.naturalWidth)"
    )
    assert set(widths) == {160}
    expect(watched.page.locator("#texts td.where")).not_to_have_count(0)
    texts = {row[0]: row[2] for row in watched.rows("#texts")}
    for answer in scene.topics.read(status["read"]["sink"], 40):
        source = "/".join(map(str, answer.source))
        best = answer.json["predictions"]["predict"]["output"][0]
        if source in texts:
            assert texts[source].startswith(f"{best['label']} {best['score']:.3g}")
    step = watched.rows('[data-topology="read"] .steps')[0]
    assert step[:3] == [
        "predict",
        "mood 1",
        f"cpu, {status['read']['steps']['predict']['sessions']} sessions",
    ]
    assert watched.page.locator('[data-topology="seen"] canvas').count() == 3
    graph = watched.page.locator('[data-topology="seen"] .graph svg').get_attribute("aria-label")
    assert scene.pictures in graph
    assert watched.complaints == []


def test_rates_are_those_of_the_counters(scene, watched):
    scene.sent(messages=200)
    eventually(
        lambda: watched.figure("read", "Records done") not in ("\u2013", "0.0/s"), "a rate is shown"
    )
    rate = float(watched.figure("read", "Records done").removesuffix("/s"))
    assert 0 < rate <= 200 / 0.5
    edge = watched.page.locator('[data-topology="read"] text.rate').all_text_contents()
    assert any(float(text.removesuffix("/s")) > 0 for text in edge)
    shown(watched, "read", "Records done", "0.0/s")


def test_versions_rollouts_and_runs_are_those_of_the_topics(scene, watched):
    deployed = Deployment(champion="2", candidate="3", mode="canary", shares={"3": 0.1}, at=now())
    scene.topics.send(scene.deployments, [Sent(deployed.written(), key=b"mood")])
    serves = Serves(version="2", wanted="2", state="serving")
    report = Report(daemon="w/1", models={"mood": serves}, valid_s=600)
    told = Told(model="mood", stage="compares", run=4, why="enough labels", live={"2": (0.91, 40)})
    change = Changed(model="mood", action="canary", by="me", reason="looks better", after=deployed)
    scene.topics.send(
        scene.events,
        [
            Sent(report.model_dump_json().encode(), key=b"report/w/1"),
            Sent(told.model_dump_json().encode(), key=told.key.encode()),
            Sent(change.model_dump_json().encode(), key=b"1"),
        ],
    )
    expect(watched.page.locator("#runs progress")).to_have_count(1)
    [model] = [row for row in watched.rows("#models") if row[0] == "mood"]
    assert model[1] == "2"
    assert model[3:] == ["1 of 1 daemons", "3: canary 10 %, no labels", MOOD]
    [run] = watched.rows("#runs")
    assert run[:3] == ["mood", "4", "compares"]
    assert run[5].startswith("enough labels, for ")
    assert watched.page.locator("#runs progress").evaluate("bar => bar.value") == 0.5
    [event] = watched.rows("#events")
    assert event[1:] == ["mood", "canary", "nothing → 3 by me: looks better"]
    assert watched.complaints == []


def test_nothing_is_loaded_from_elsewhere(scene, watched):
    scene.sent(pictures=2)
    expect(watched.page.locator("#pictures img")).not_to_have_count(0)
    hosts = {urlsplit(url).netloc for url in watched.asked}
    assert hosts == {urlsplit(scene.url).netloc}
    assert watched.complaints == []


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (375, 740)], ids=["desk", "phone"])
def test_everybody_can_use_it(scene, watched, colours, size):
    page = watched.page
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    scene.sent(pictures=2, messages=2, bad=1)
    expect(page.locator("#letters tr td")).not_to_have_count(1)
    expect(page.locator("html")).to_have_attribute("data-theme", colours)
    for closed in page.locator("details").all():
        closed.evaluate("one => one.open = true")
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], one["nodes"][0]["html"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_it_is_used_without_a_mouse(scene, watched):
    page = watched.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator("#theme").focus()
    for theme in ("light", "dark"):
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
    expect(page.locator("#theme")).to_be_focused()
    summary = page.locator('[data-topology="read"] summary')
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-topology="read"] .partitions tr')).to_have_count(2)
    expect(page.locator('[data-topology="read"] .partitions')).to_be_visible()


def test_it_stays_readable_when_a_daemon_is_gone_and_when_its_server_is(scene, watched):
    scene.sent(messages=5)
    shown(watched, "read", "Done in all", "5")
    expect(watched.page.locator("#state")).to_contain_text("live")
    scene.daemon.kill()
    expect(watched.page.locator("#state")).to_have_text("1 of 1 daemons do not answer")
    about = watched.page.locator('[data-topology="read"] .about')
    expect(about).to_contain_text("No daemon that runs this answers; what is shown was true at")
    assert watched.figure("read", "Done in all") == "5"
    scene.server.terminate()
    assert scene.server.wait(20) == 0
    expect(watched.page.locator("#state")).to_contain_text("server does not answer", timeout=20_000)
    assert watched.figure("read", "Done in all") == "5"


def test_dead_letters_are_replayed_by_who_has_the_token(scene, watched):
    scene.sent(bad=2)
    page = watched.page
    expect(page.locator("#letters tr td")).not_to_have_count(1)
    page.get_by_label("Reason").select_option("invalid-utf8")
    page.get_by_label("Token").fill("guessed")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replayed")).to_have_text("the token is wrong")
    assert sum(scene.topics.ends(scene.messages).values()) == 2 + 0
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replayed")).to_have_text(
        f"2 replayed to {scene.messages}", timeout=20_000
    )
    assert len(scene.topics.read(scene.messages, 4)) == 4


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_its_memory_stays_as_it_is(scene, watched):
    """Two hundred records a second, for ten minutes."""
    page = watched.page
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def heap():
        devtools.send("HeapProfiler.collectGarbage")
        told = {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}
        return told["JSHeapUsedSize"] / 2**20, told["Nodes"], rendering()

    def rendering():
        return sum(
            one.memory_info().rss / 2**20
            for one in psutil.process_iter(["cmdline"])
            if "--type=renderer" in (one.info["cmdline"] or ())
        )

    looks = []
    began = time.monotonic()
    for second in range(661):
        scene.send(pictures=10, messages=188, bad=2)
        page.wait_for_timeout(max(began + second + 1 - time.monotonic(), 0) * 1000)
        if second >= 60 and second % 30 == 0:
            looks.append(heap())
            rate = 200 * (second + 1) / (time.monotonic() - began)
            print(f"{second} s, {rate:.0f} records/s: {looks[-1]}")  # noqa: T201 - for the docs
    eventually(
        lambda: scene.metric("record_duration_seconds_count") == 200 * 661, "all records are done"
    )
    assert watched.complaints == []
    first, last = looks[0], looks[-1]
    for before, after in zip(first, last, strict=True):
        assert after <= before * 1.2, (first, last)
