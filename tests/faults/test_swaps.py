"""Versions come and go while records flow: nothing lost, nothing twice, never back."""

import shutil
import sys

import pytest
from support.waiting import eventually

from faults import versions
from faults.swaps import fleet, made_by, many, steps_back
from streamer.deployments import ChangedMeanwhileError, Ledger
from streamer.deployments.rollout import Rollout, trying
from streamer.errors import ModelError
from streamer.operate.fleet import in_service
from streamer.operate.promotion import Promotion, await_fleet, promote, roll_back

MODES = ["exactly-once", "at-least-once"]


@pytest.mark.parametrize("delivery", MODES)
def test_versions_are_swapped_under_load_and_nothing_is_lost_or_twice(delivery, site):
    with fleet(site, delivery) as there:
        for number in ("1", "2", "3", "4"):
            versions.add(there.registry, number)
        there.promote("1")
        load = there.flow.load(rate=300)
        daemon = there.daemon().ready()
        there.flow.at_work()
        assert there.serving(daemon) == "1"  # not the newest: what is deployed
        for number in ("2", "3", "4"):
            there.promote(number)
            there.serves(daemon, number)
            there.flow.at_work()
        load.wait_for(1000)
        found = there.flow.finished()
        assert found.exactly_once, str(found)
        assert made_by(found) == {"1", "2", "3", "4"}
        assert steps_back(found, there.flow.source) == 0
        outcomes = [(e["version"], e["outcome"]) for e in there.said() if e["kind"] == "swap"]
        assert outcomes == [(number, "swapped") for number in "234"]


def test_what_is_wrong_with_a_version_keeps_it_out_and_is_told(site):
    with fleet(site, "exactly-once") as there:
        versions.add(there.registry, "1")
        for number, fault in enumerate(("corrupt", "labels", "nan", "crash"), 2):
            versions.add(there.registry, str(number), fault)
        there.promote("1")
        there.flow.load(rate=100)
        daemon = there.daemon().ready()
        told = {
            "2": "is not the file that model.yaml names",
            "3": "wrong labels: label 0 of version 1, 'good', is 'bad' now",
            "4": "non-finite",
            "5": "SIGSEGV",
            "6": "has no version '6'",
        }
        for number, reason in told.items():
            there.promote(number)
            eventually(lambda n=number: there.state(daemon)["wanted"] == n, f"{number} was tried")
            state = eventually(
                lambda: (s := there.state(daemon))["state"] != "loading" and s, "it is known"
            )
            assert (state["version"], state["state"]) == ("1", "failed")
            assert reason in state["reason"]
            assert there.serving(daemon) == "1"
        metrics = daemon.get("/metrics")[1]
        assert f'streamer_model_swap_failures_total{{model="moods"}} {len(told)}.0' in metrics
        assert (
            'streamer_model_info{model="moods",task="text-classification",version="1"}' in metrics
        )
        failed = {e["version"]: e["reason"] for e in there.said() if e.get("outcome") == "failed"}
        assert all(reason in failed[number] for number, reason in told.items())
        there.promote("1")
        for number in ("3", "5"):  # on trial they are taken back at once, by the rules
            canary(there, number)
            eventually(lambda: on_trial(there) is None, f"{number} is taken back")
            change = Ledger(there.settings).history("moods")[-1]
            assert (change.action, change.by.split(",")[0]) == ("rollback", "the rules")
            assert told[number] in change.reason
            assert there.serving(daemon) == "1"
        found = there.flow.finished()
        assert found.exactly_once, str(found)
        assert made_by(found) == {"1"}


def canary(there, number):
    rollout = Rollout.model_validate({"mode": "canary", "share": "50%"})
    Ledger(there.settings).change("moods", "canary", trying(number, rollout, by="the test"))


def on_trial(there) -> str | None:
    return Ledger(there.settings).read()["moods"].candidate


def test_a_daemon_that_starts_takes_the_version_before_if_what_is_deployed_fails(site):
    told = {
        "corrupt": "is not the file that model.yaml names",
        "labels": "wrong labels: label 0 of version 1, 'good', is 'bad' now",
        "nan": "non-finite",
        "crash": "SIGSEGV",
    }
    with fleet(site, "at-least-once") as there:
        versions.add(there.registry, "1")
        for number, (fault, reason) in enumerate(told.items(), 2):
            versions.add(there.registry, str(number), fault)
            there.promote("1")
            there.promote(str(number))
            daemon = there.daemon().ready()
            state = there.state(daemon)
            assert (state["version"], state["wanted"], state["state"]) == (
                "1",
                str(number),
                "failed",
            )
            assert reason in state["reason"]
            assert there.serving(daemon) == "1"
            assert daemon.stop() == 0
        there.promote("9")  # which there is not, after one that crashes: that never served
        daemon = there.daemon().ready()
        assert there.serving(daemon) == "1"
        assert daemon.stop() == 0
        shutil.rmtree(there.registry / "moods" / "1")
        neither = there.daemon()
        assert neither.process.wait(60) == 2
        assert "has no version '1'" in neither.text.splitlines()[-1]
        last = [event for event in there.said() if event["kind"] == "swap"][-1]
        assert (last["version"], last["outcome"]) == ("1", "failed")
        assert "has no version '1'" in last["reason"]


def test_where_memory_holds_one_version_only_the_next_takes_its_place(site):
    with fleet(site, "exactly-once") as there:
        versions.add(there.registry, "1")
        versions.add(there.registry, "2")
        versions.add(there.registry, "3", "nan")
        there.promote("1")
        load = there.flow.load(rate=200)
        daemon = there.daemon(MODELS__SWAP="replace").ready()
        there.flow.at_work()
        there.promote("2")
        there.serves(daemon, "2")
        there.flow.at_work()
        there.promote("3")
        eventually(lambda: there.state(daemon)["state"] == "failed", "it is refused")
        assert "non-finite" in there.state(daemon)["reason"]
        assert there.serving(daemon) == "2"
        there.flow.at_work()
        load.wait_for(1000)
        found = there.flow.finished()
        assert found.exactly_once, str(found)
        assert made_by(found) == {"1", "2"}
        assert steps_back(found, there.flow.source) == 0


def test_an_operator_promotes_waits_and_goes_back(site):
    with fleet(site, "at-least-once") as there:
        for number in ("1", "2"):
            versions.add(there.registry, number)
        daemons = [there.daemon().ready() for _ in range(2)]
        versions.add(there.registry, "3", "nan")
        there.promote("1")
        code, said = there.command("promote", "moods", "2", "--by", "ann", "--wait")
        assert (code, said.splitlines()[-1]) == (0, "2 of 2 daemons serve moods 2"), said
        assert [there.serving(daemon) for daemon in daemons] == ["2", "2"]
        told = "version 1 was expected to serve; changed meanwhile by ann: version 2"
        with pytest.raises(ChangedMeanwhileError, match=told):
            promote(Promotion("moods", "1", expected="1", by="bob"), there.settings)
        with pytest.raises(ModelError, match=r"moods 3: .*non-finite"):
            promote(Promotion("moods", "3", by="bob"), there.settings)
        back = roll_back("moods", there.settings, by="bob", reason="it was better")
        assert await_fleet("moods", back, there.settings, patience=60) == 2
        assert [there.serving(daemon) for daemon in daemons] == ["1", "1"]
        deployed, living = in_service(there.settings)
        assert deployed == {"moods": back}
        assert [one.models["moods"].version for one in living] == ["1", "1"]
        story = Ledger(there.settings).history("moods")
        assert [(one.action, one.by, one.after.champion) for one in story] == [
            ("first", story[0].by, "2"),
            ("promote", "the test", "1"),
            ("promote", "ann", "2"),
            ("refused", "bob", "3"),
            ("rollback", "bob", "1"),
        ]
        assert daemons[0].stop() == 0
        assert len(in_service(there.settings)[1]) == 1
        code, said = there.command("list")
        assert (code, "1 of 1" in said) == (0, True), said


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("delivery", MODES)
def test_two_hundred_swaps_under_full_load(delivery, site, capsys):
    found = many(site, delivery, swaps=200, rate=400, delay_ms=2, rest_s=1)
    with capsys.disabled():
        sys.stdout.write(f"\n{found}\n")
    assert found.verdict.exactly_once, str(found)
    assert found.versions == {str(number) for number in range(1, 202)}
    assert found.back == 0
    assert found.level() <= 1.05
    assert found.during_s <= 2 * found.between_s
