"""The loop closes: labels for a daemon's own answers make a better version, and it serves."""

import io
import sys
from functools import partial
from itertools import groupby

import psutil
import pytest
import yaml
from support import learning
from support.topics import Sent, sources
from support.waiting import eventually

from streamer.deployments import Ledger, promoting, rolling_back
from streamer.deployments.intervals import share_interval
from streamer.models.registry import LocalRegistry
from streamer.retraining.labelled import LabelledSet
from streamer.retraining.learner import Learner
from streamer.retraining.place import Place
from streamer.retraining.plan import planned
from streamer.retraining.progress import STAGES
from streamer.retraining.runs import Runs
from streamer.retraining.store import Store
from streamer.retraining.workshop import Workshop

_FIRST, _FRESH = 900, 400


@pytest.mark.timeout(300)
def test_labels_for_a_daemons_own_answers_bring_a_better_version_into_service(world):
    daemon = world.daemon()
    sidecar = world.sidecar()
    world.send(_FIRST)
    answers = learning.answered(world.topics, world.sink, _FIRST)
    truths = world.truths()
    assert {one["version"] for one in answers} == {"1"}
    before = sum(world.right(answers, truths)) / _FIRST
    labels = [
        learning.label_of(
            one["source"], truths[one["source"]["partition"], one["source"]["offset"]]
        )
        for one in answers
    ]
    world.topics.send(world.labels, labels)
    eventually(lambda: sidecar.alive() or sidecar.said("a run has ended"), "a run", 120)
    report = world.report()
    assert report["verdict"] == "promote", report["reasons"]

    def new_one_answers() -> bool:
        daemon.alive()
        sent = sum(world.topics.ends(world.source).values()) // 2
        world.send(1)
        found = learning.answered(world.topics, world.sink, sent)
        return any(one["version"] == "2" for one in found)

    eventually(new_one_answers, "the new version answers", 60, 0.5)
    world.send(_FRESH)
    truths = world.truths()
    every = learning.answered(world.topics, world.sink, len(truths))
    fresh = [one for one in every if one["version"] == "2"]
    assert len(fresh) >= _FRESH
    hits = sum(world.right(fresh, truths))
    interval = share_interval(hits, len(fresh), 0.001)
    assert interval.low <= report["gate"]["challenger"] <= interval.high
    assert hits / len(fresh) > before + 0.1
    # The version tells what it was made of.
    manifest = LocalRegistry(world.folder / "models").manifest(world.model, "2")
    lineage = manifest.lineage.model_dump()
    assert (lineage["parent"], lineage["strategy"], lineage["seed"]) == ("1", "head", 0)
    assert lineage["set"] == {key: report["set"][key] for key in ("version", "digest")}
    assert lineage["examples"] == report["set"]["sizes"]
    assert lineage["run"].startswith("1 of ")
    assert {"numpy", "onnx", "onnxruntime", "scipy"} <= set(lineage["libraries"])
    assert manifest.metrics["held_out_records"] == report["gate"]["examples"]
    # Nothing lost, nothing answered twice, nothing rejected.
    counts = sources(world.topics.read(world.sink))
    assert set(counts) == {(world.source, *place) for place in truths}
    assert set(counts.values()) == {1}
    assert world.topics.read(world.letters) == []
    assert sidecar.stop() == 0
    assert daemon.stop() == 0


@pytest.mark.timeout(300)
def test_what_is_no_label_or_has_no_record_is_counted_and_withdrawn_examples_are_gone(world):
    world.serve_first()
    world.send(120)
    world.label_all()
    source = {"topic": world.source, "partition": 0, "offset": 3}
    gone = {**source, "offset": 1_000_000}
    other = {**source, "timestamp": 1}
    bad = [
        Sent(b"{"),
        Sent(b'{"label": "refund"}', b"nothing"),
        learning.label_of({**source, "topic": "elsewhere"}, "refund"),
        learning.label_of(gone, "refund"),
        learning.label_of(other, "refund"),
    ]
    world.topics.send(world.labels, bad)
    withdrawn = f"{world.source}/0/3"
    world.topics.send(world.labels, [Sent(None, withdrawn.encode())])
    assert world.sidecar("--now", "--once").process.wait(120) == 0
    letters = world.topics.read(f"{world.labels}.deadletters")
    assert sorted(one.error("reason") for one in letters) == [
        "invalid-json",
        "no-example",
        "wrong-topic",
    ]
    counts = world.report()["labels"]
    assert (counts["malformed"], counts["label_ref_missing"], counts["withdrawn"]) == (3, 2, 1)
    names = [row.name for row in Store(Place(str(world.folder / "set"))).rows()]
    assert len(names) == 119
    assert not any(name.startswith(f"{withdrawn}/") for name in names)
    assert world.report()["verdict"] == "inconclusive"
    # A second one reads on from where the first has ended: nothing twice.
    assert world.sidecar("--once").process.wait(120) == 0
    assert len(Store(Place(str(world.folder / "set"))).rows()) == 119


@pytest.mark.timeout(300)
def test_of_two_sidecars_one_works_and_the_other_waits_and_says_so_until_the_first_is_killed(world):
    world.serve_first()
    first = world.sidecar()
    eventually(lambda: first.alive() or first.said("works"), "the first works")
    own = psutil.Process().nice()
    assert psutil.Process(first.process.pid).nice() == min(own + 10, 19)  # budget.niceness
    second = world.sidecar()
    told = "another sidecar works on this model; this one waits"
    eventually(lambda: second.alive() or second.said(told), "the second says that it waits")
    assert not second.said("works")
    first.kill()
    eventually(lambda: second.alive() or second.said("works"), "the second works")
    assert second.stop() == 0


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        return True


def told_everywhere(world, shown: str) -> None:
    """The terminal's bar, the metrics and the events topic tell how far the first run came."""
    assert "run 1" in shown
    assert all(stage in shown for stage in STAGES[1:]), shown
    of_model = {"model": world.model}

    def metric(name: str, **labels: str) -> float | None:
        return world.metrics.get_sample_value(f"streamer_{name}", {**of_model, **labels})

    assert metric("retraining_runs_total", verdict="promote") == 1
    assert metric("retraining_stage", stage="collects") == 1
    assert metric("retraining_looks") == 1
    assert metric("labels_records", outcome="taken") == 400
    # The events topic tells how far it came, under the key of which the last stands.
    told = [
        one.json
        for one in world.topics.read(world.environment["DEPLOYMENTS__EVENTS_TOPIC"])
        if one.key == f"retraining/{world.model}".encode()
    ]
    stages = [stage for stage, _ in groupby(told, key=lambda one: one["stage"])]
    assert stages == ["collects", "cuts", "learns", "compares", "writes", "deploys", "collects"]
    assert {one["run"] for one in told if one["stage"] == "learns"} == {1}
    assert (told[-1]["taken"], told[-1]["due_at"], told[-1]["run"]) == (400, 800, None)
    assert told[-1]["last"].startswith("promote: gain")


@pytest.mark.timeout(300)
def test_what_has_passed_is_rolled_out_as_the_file_says_or_waits_for_a_person(world, monkeypatch):
    ledger = world.serve_first()
    world.send(400)
    world.label_all()
    world.configure(trigger={"labels": 400}, rollout={"mode": "canary", "share": "25%"})
    with monkeypatch.context() as seen:
        seen.setenv("TERM", "xterm")
        seen.setattr(sys, "stderr", Terminal())
        world.work()
        shown = sys.stderr.getvalue()
    told_everywhere(world, shown)
    canary = ledger.read()[world.model]
    assert (canary.champion, canary.candidate, canary.mode) == ("1", "2", "canary")
    assert canary.shares == {"2": 0.25}
    assert "run 1" in canary.reason
    # As long as it goes on no further run begins: what would it be compared with?
    world.work(now=True, give_up_after=2.0)
    assert [run.version for run in world.runs()] == ["2"]
    ledger.change(world.model, "rollback", rolling_back(by="test"))

    world.configure(rollout={"mode": "shadow", "share": 1.0, "max_time": "10m"})
    world.work(now=True)
    shadow = ledger.read()[world.model]
    assert (shadow.champion, shadow.candidate, shadow.mode) == ("1", "3", "shadow")
    assert shadow.rules["max_time"] in ("10m", 600.0)
    ledger.change(world.model, "rollback", rolling_back(by="test"))

    world.configure(rollout={"mode": "approve"})
    world.work(now=True)
    waits = ledger.read()[world.model]
    assert (waits.champion, waits.candidate) == ("1", None)
    run = world.runs()[-1]
    assert (run.verdict, run.version, run.stage) == ("promote", "4", "done")
    told = [one for one in ledger.history(world.model) if one.action == "retrain: awaits approval"]
    assert [one.after.champion for one in told] == ["4"]
    ledger.change(world.model, "promote", promoting("4", by="a person", expected="1"))
    assert ledger.read()[world.model].champion == "4"

    world.configure(budget={"max_time": "1ms"})
    world.work(now=True)
    run = world.runs()[-1]
    assert (run.verdict, run.version) == ("reject", None)
    assert run.reasons == ("not done within budget.max_time, 0.001 s",)


class Killed(BaseException):
    """The process ends here."""


class Steps:
    """Counts what a run writes, and kills it at one of the steps, before or after the writing."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[str] = []
        self.kill_at = -1
        for owner, name in ((Place, "write"), (LocalRegistry, "add"), (Ledger, "change")):
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name, kept):
        def step(owner, *given, **named):
            self._passed(name)
            done = kept(owner, *given, **named)
            self._passed(f"{name} done")
            return done

        return step

    def _passed(self, name: str) -> None:
        self.seen.append(name)
        if len(self.seen) == self.kill_at:
            raise Killed

    def killed(self, kill_at: int, work) -> str | None:
        """Let it work; give the step at which it was killed, None if it came through."""
        self.seen, self.kill_at = [], kill_at
        try:
            work()
        except Killed:
            return self.seen[-1]
        finally:
            self.kill_at = -1
        return None


def opened(plan, settings):
    """What a sidecar has that has just begun to work."""
    place = Place(plan.place)
    store = Store(place)
    labelled = LabelledSet(store.rows(), plan.file.split, store.counts)
    learner = Learner(plan.file.strategy, 1)
    return Workshop(settings, plan.file, plan.path, place, learner), store, labelled


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_run_killed_at_any_step_is_over_or_goes_on_and_no_version_serves_half(world, monkeypatch):
    ledger = world.serve_first()
    world.send(600)
    world.label_all()
    content = yaml.safe_load(world.file.read_text())
    content["trigger"] = {"labels": 1_000_000}
    content["gate"]["max_looks"] = 1000
    world.file.write_text(yaml.safe_dump(content))
    assert world.sidecar("--once").process.wait(120) == 0
    settings = world.settings()
    plan = planned(world.file, settings)
    steps, seen, kill_at = Steps(monkeypatch), set(), 0
    while True:
        kill_at += 1
        shop, store, labelled = opened(plan, settings)
        before = shop.registry.versions(world.model)
        step = steps.killed(kill_at, partial(shop.run, "test", store, labelled, bool))
        seen.add(step)
        if step is None:
            break
        again, _, labelled = opened(plan, settings)
        again.settle()
        run = next(reversed(again.runs.all()), None)
        serving = ledger.read()[world.model].champion
        assert again.runs.open() == []
        assert labelled.size == 600  # no label is lost
        versions = again.registry.versions(world.model)
        if run is None or run.version is None:
            assert run is None or run.verdict == "killed"
            assert (serving, versions) == ("1", before)
            continue
        # It went on: the version is whole, was written once, and serves.
        assert versions == [*before, run.version]
        assert serving == run.version
        assert again.champion(again.deployed()).manifest.lineage.parent == "1"
        ledger.change(world.model, "promote", promoting("1", by="test"))
    assert {"add", "add done", "change", "change done", "write", "write done"} <= seen
    assert Runs(Place(plan.place)).last().verdict == "promote"
