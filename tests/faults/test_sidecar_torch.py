"""kill -9 of a sidecar that learns on weights: it goes on where it was, and ends the same."""

import shutil
from pathlib import Path

import pytest
from support import learning, trainable
from support.waiting import eventually
from support.world import World

from faults.sidecars import checked, killed, labelled_world
from streamer.deployments import promoting
from streamer.models.packing import pack
from streamer.models.registry import LocalRegistry

pytestmark = pytest.mark.torch

EPOCHS = 30
WITHIN = "within an epoch"


def network(models: Path, name: str) -> None:
    """Write a version with a network of texts that nobody has taught anything."""
    made = trainable.texts(models.parent / name, learning.LABELS, learning.VOCABULARY[1:])
    LocalRegistry(models).add(pack(made, name=name, number="1"))


@pytest.fixture
def taught(topics, daemons, broker, tmp_path):
    made = World(topics, daemons, broker, tmp_path, network)
    training = {"epochs": EPOCHS, "patience": EPOCHS, "learning_rate": 1e-2}
    made.configure(strategy={"kind": "finetune", "training": training})
    yield made
    made.close()


def killed_within(world: World) -> None:
    """Let a sidecar learn for two epochs, and kill it wherever it is then."""
    sidecar = world.sidecar("--once")

    def has_learnt() -> bool:
        sidecar.alive()
        return len(sidecar.said("epoch")) > 1

    eventually(has_learnt, "two epochs", 120)
    sidecar.kill()


def written(world: World, version: str) -> tuple[dict[str, str], dict[str, object]]:
    """The checksums of all that a version consists of, and its figures."""
    manifest = LocalRegistry(world.folder / "models").manifest(world.model, version)
    return dict(manifest.files), dict(manifest.metrics)


@pytest.mark.timeout(900)
def test_a_sidecar_killed_while_it_learns_goes_on_from_its_checkpoint_to_the_same_version(taught):
    withdrawn = labelled_world(taught)
    versions = ["1"]
    versions.append(checked(taught, withdrawn, versions))
    whole = written(taught, versions[-1])
    assert "trainable/model.safetensors" in whole[0]
    for steps in (
        (WITHIN,),
        (r"3x open .*/checkpoints/", r"os.rename .*/checkpoints/"),  # before, and half written
        (r"os.remove .*/checkpoints/", r"open .*/looks/"),  # learnt, and not compared yet
    ):
        shutil.rmtree(taught.folder / "set")
        taught.ledger().change(taught.model, "test", promoting("1", by="test"))
        for step in steps:
            if step is WITHIN:
                killed_within(taught)
            else:
                killed(taught, step)
        kept = taught.place.names("checkpoints")
        assert bool(kept) == ("looks" not in steps[-1]), (steps, kept)
        versions.append(checked(taught, withdrawn, versions))
        assert written(taught, versions[-1]) == whole, steps
        assert taught.place.names("checkpoints") == []
