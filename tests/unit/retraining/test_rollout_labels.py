"""What labels say of a rollout: its own records, of the random share."""

from datetime import UTC, datetime

from streamer.deployments.counts import ArmCounts
from streamer.deployments.deployment import Deployment
from streamer.labels import Answer, LiveAccuracy, Place
from streamer.retraining.rollout_labels import counted

BEGAN_MS = 1_000_000_000
ROLLOUT = Deployment(
    champion="1",
    candidate="2",
    mode="canary",
    at=datetime.fromtimestamp(BEGAN_MS / 1000, UTC).isoformat(),
)


def live() -> LiveAccuracy:
    """Ten answers a version and time: before the rollout, in it, and too young to have labels."""
    made = LiveAccuracy(delay_ms=60_000, window_ms=10_000_000)
    offset = 0
    for at in (BEGAN_MS - 1000, BEGAN_MS + 1000, BEGAN_MS + 100_000):
        for version in ("1", "2", "0"):
            for number in range(10):
                place, random = Place("t", 0, offset, "kind"), number < 6
                answer = Answer("mood", version, "good", 0.9, at, random=random)
                made.answered(place, answer)
                made.labelled(place, "bad" if number % 3 == 0 else "good", random=random)
                offset += 1
    return made


def test_of_the_rollouts_own_records_those_drawn_by_chance_count():
    told = counted("mood", ROLLOUT, live(), BEGAN_MS + 120_000)
    assert told.champion == told.candidate == ArmCounts(labelled=6, correct=4)
    assert (told.rollout, told.model) == (ROLLOUT.at, "mood")


def test_a_rollout_of_another_model_has_no_labels_here():
    assert counted("signs", ROLLOUT, live(), BEGAN_MS + 120_000).candidate == ArmCounts()
