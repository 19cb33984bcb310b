"""A rollout whose candidate is judged by labels, by a sidecar that decides."""

import pytest
from support import learning
from support.waiting import eventually

from streamer.deployments.rollout import Rollout, trying


@pytest.mark.long
@pytest.mark.timeout(300)
def test_labels_that_the_sidecar_joins_take_a_worse_candidate_back(world):
    learning.model(world.folder / "models", world.model, "2", known=0.0)
    ledger = world.serve_first()
    daemon = world.daemons.start(
        world.topology, **world.environment, DEPLOYMENTS__DECIDE="false"
    ).ready()
    sidecar = world.sidecar()
    rules = {"mode": "canary", "share": "50%", "accuracy": {"margin": "1%"}}
    rules |= {"max_latency_ratio": None}
    rollout = Rollout.model_validate(rules)
    ledger.change(world.model, "canary", trying("2", rollout, by="the test"))
    eventually(
        lambda: f'candidate="2",mode="canary",model="{world.model}"' in daemon.get("/metrics")[1],
        "the candidate answers",
    )
    done: set[tuple[int, int]] = set()

    def taken_back() -> bool:
        sidecar.alive()
        world.send(200)
        truths = world.truths()
        labels = []
        for one in learning.answered(world.topics, world.sink, len(truths)):
            place = one["source"]["partition"], one["source"]["offset"]
            if place not in done:
                done.add(place)
                said = learning.label_of(one["source"], truths[place], reason="random")
                labels.append(said)
        world.topics.send(world.labels, labels)
        return ledger.read()[world.model].candidate is None

    eventually(taken_back, "the candidate is taken back", 180, every=1.0)
    change = ledger.history(world.model)[-1]
    assert (change.action, change.after.champion) == ("rollback", "1")
    assert change.by == f"the rules, on the sidecar of {world.model}"
    assert "accuracy: -" in change.reason
    assert sidecar.stop() == 0
    assert daemon.stop() == 0
