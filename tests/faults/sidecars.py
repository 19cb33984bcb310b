"""A sidecar that is killed, and all that has to be right after the next one has come to an end."""

from support.topics import Sent
from support.world import World

from streamer.models.version import load_version
from streamer.retraining.forgetting import Forgetting
from streamer.retraining.runs import Runs
from streamer.retraining.store import Store

MESSAGES = 400
_PATIENCE_S = 300  # decides only that a test has failed


def labelled_world(world: World) -> str:
    """Messages and labels, one of them withdrawn; gives the name of its example."""
    world.configure(
        trigger={"labels": MESSAGES}, gate={"min_gain": "2%"}, labels={"capture": {"share": 1.0}}
    )
    world.serve_first()
    world.send(MESSAGES)
    world.label_all()
    withdrawn = f"{world.source}/0/3"
    world.topics.send(world.labels, [Sent(None, withdrawn.encode())])
    return withdrawn


def killed(world: World, step: str) -> None:
    """Let a sidecar work until it is killed at a step."""
    sidecar = world.sidecar("--once", kill_at=step)
    code = sidecar.process.wait(_PATIENCE_S)
    assert code == -9, f"not killed at '{step}' but ended with {code}:\n{sidecar.text[-3000:]}"


def checked(world: World, withdrawn: str, versions: list[str]) -> str:
    """Let a sidecar come to an end, look at all that it has left, give the version it has made."""
    sidecar = world.sidecar("--once")
    assert sidecar.process.wait(_PATIENCE_S) == 0, sidecar.text[-3000:]
    store = Store(world.place)
    rows = store.rows()
    names = [row.name for row in rows]
    assert len(names) == len(set(names)) == MESSAGES - 1  # no label is lost, none is there twice
    assert not any(name.startswith(f"{withdrawn}/") for name in names)
    assert len(store.values(row.sha for row in rows)) == len({row.sha for row in rows})
    assert store.counts["read"] == MESSAGES + 1
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
