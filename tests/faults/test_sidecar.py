"""kill -9 of the sidecar at each of its steps: nothing half done is seen, and no label is lost."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from faults.sidecars import checked, killed, labelled_world
from streamer.deployments import promoting


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
