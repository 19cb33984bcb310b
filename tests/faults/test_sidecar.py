"""kill -9 of the sidecar at each of its steps: nothing half done is seen, and no label is lost."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from support.topics import Sent
from support.world import World

from streamer.deployments import promoting
from streamer.models.version import load_version
from streamer.retraining.forgetting import Forgetting
from streamer.retraining.runs import Runs
from streamer.retraining.store import Store

_MESSAGES = 400


def labelled_world(world: World) -> str:
    """Messages and labels, one of them withdrawn; gives the name of its example."""
    world.configure(
        trigger={"labels": _MESSAGES}, gate={"min_gain": "2%"}, labels={"capture": {"share": 1.0}}
    )
    world.serve_first()
    world.send(_MESSAGES)
    world.label_all()
    withdrawn = f"{world.source}/0/3"
    world.topics.send(world.labels, [Sent(None, withdrawn.encode())])
    return withdrawn


def killed(world: World, step: str) -> None:
    """Let a sidecar work until it is killed at a step."""
    sidecar = world.sidecar("--once", kill_at=step)
    code = sidecar.process.wait(120)
    assert code == -9, f"not killed at '{step}' but ended with {code}:\n{sidecar.text[-3000:]}"


def checked(world: World, withdrawn: str, versions: list[str]) -> str:
    """Let a sidecar come to an end, look at all that it has left, give the version it has made."""
    sidecar = world.sidecar("--once")
    assert sidecar.process.wait(120) == 0, sidecar.text[-3000:]
    store = Store(world.place)
    rows = store.rows()
    names = [row.name for row in rows]
    assert len(names) == len(set(names)) == _MESSAGES - 1  # no label is lost, none is there twice
    assert not any(name.startswith(f"{withdrawn}/") for name in names)
    assert len(store.values(row.sha for row in rows)) == len({row.sha for row in rows})
    assert store.counts["read"] == _MESSAGES + 1
    listed = [one.name for one in Forgetting(world.place, Runs(world.place)).listed()]
    assert [name.rpartition("/")[0] for name in listed] == [withdrawn]
    assert not list((world.folder / "set").rglob("*.part"))
    # One run has come to a verdict, and its version is whole and serves.
    done = [run for run in world.runs() if run.verdict != "killed"]
    assert [run.verdict for run in done] == ["promote"]
    assert all(run.stage == "done" for run in world.runs())
    [run] = done
    assert run.version is not None
    assert world.report(run.number)["version"] == run.version
    assert (world.folder / "set" / run.folder / "report.html").is_file()
    registry = world.folder / "models"
    there = sorted(one.name for one in (registry / world.model).iterdir() if one.name[0] != ".")
    assert there == sorted([*versions, run.version])
    whole = load_version(
        f"{registry}/{world.model}/{run.version}", beside=registry, models_dir=registry
    )
    assert whole.manifest.files
    ledger = world.ledger()
    assert ledger.read()[world.model].champion == run.version
    promoted = [
        one
        for one in ledger.history(world.model)
        if one.action == "promote" and one.after and one.after.champion == run.version
    ]
    assert len(promoted) == 1
    return run.version


@pytest.mark.timeout(300)
def test_a_sidecar_killed_again_and_again_ends_as_if_it_had_never_been(world):
    withdrawn = labelled_world(world)
    killed(world, r"os.remove .*/shards/")  # a compaction, in the midst of a withdrawal
    killed(world, r"os.rename .*/models/[^/]+/2$")  # a version, before it has its name
    killed(world, r"^deployed$")
    checked(world, withdrawn, ["1"])


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_sidecar_killed_at_any_of_its_steps_loses_nothing_and_serves_nothing_half(world):
    withdrawn = labelled_world(world)
    log: Path = world.folder / "steps.log"
    assert world.sidecar("--once", kill_at="nothing has this name").process.wait(120) == 0
    steps = log.read_text().splitlines()
    versions = ["1", checked(world, withdrawn, ["1"])]
    seen = set()
    # A run of it may be cut in several: STREAM_KILL_FROM=30 goes on where another has ended.
    number = int(os.environ.get("STREAM_KILL_FROM", "1")) - 1
    first = number == 0
    while True:
        number += 1
        shutil.rmtree(world.folder / "set")
        log.unlink()
        world.ledger().change(world.model, "test", promoting("1", by="test"))
        sidecar = world.sidecar("--once", kill_at=str(number))
        code = sidecar.process.wait(120)
        seen.add(log.read_text().splitlines()[-1].partition(" ")[2])
        versions.append(checked(world, withdrawn, versions))
        sys.stdout.write(f"{number}: {code}\n")
        if code == 0:
            break
        assert code == -9, sidecar.text[-3000:]
    sys.stdout.write(f"killed at {number - 1} steps; without a kill there are {len(steps)}\n")
    assert number > len(steps) * 0.9
    kinds = ("models/", "deploying", "deployed")
    for kind in ("shards/", "runs/000001/run.json", "looks/", *kinds) if first else kinds:
        assert any(kind in step for step in seen), kind
