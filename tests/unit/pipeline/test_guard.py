import pytest

from streamer.config.topology import DeadLetter
from streamer.errors import BrokenModelError
from streamer.pipeline.guard import Guard
from streamer.pipeline.model import Chosen, ModelVersion
from streamer.records import Item, Record, Rejection, Slice, Stage, TopicPartition, Wave


def wave(*stages: Stage | None) -> Wave:
    """Make a wave with an item each: failed in that stage, or answered."""
    items = []
    for offset, stage in enumerate(stages):
        item = Item(Record("texts", 0, offset, 0, None, b""))
        if stage is not None:
            item.rejection = Rejection(stage, "intent", "x", "X", "NaN everywhere")
        items.append(item)
    return Wave(0, {TopicPartition("texts", 0): Slice(1, len(items), tuple(items))}, 0, 0.0)


def test_a_model_that_fails_again_and_again_stops_the_topology_before_its_wave_is_published() -> (
    None
):
    guard = Guard(DeadLetter(topic="dead", max_consecutive=5))
    passed = guard.checked([wave(*["infer"] * 4), wave("infer")])
    assert next(passed) is not None
    with pytest.raises(BrokenModelError, match="5 records in a row failed in the step 'intent'"):
        next(passed)


def test_one_answer_ends_the_row() -> None:
    guard = Guard(DeadLetter(topic="dead", max_consecutive=5, max_ratio=1))
    assert len(list(guard.checked([wave(*["infer"] * 4, None, *["infer"] * 4)]))) == 1


def test_too_large_a_share_of_the_last_records_stops_it_too() -> None:
    guard = Guard(DeadLetter(topic="dead", max_ratio=0.5, window=10))
    assert list(guard.checked([wave(*["infer", None] * 5)]))
    with pytest.raises(BrokenModelError, match="6 of the last 10 records"):
        list(guard.checked([wave("infer", "infer")]))


def test_values_that_cannot_be_decoded_never_stop_it() -> None:
    guard = Guard(DeadLetter(topic="dead", max_consecutive=5, window=10))
    assert len(list(guard.checked([wave(*["decode"] * 100)]))) == 1


def test_failures_of_a_candidate_are_the_rollouts_matter() -> None:
    guard = Guard(DeadLetter(topic="dead", max_consecutive=5, max_ratio=1))
    champion, candidate = ModelVersion.__new__(ModelVersion), ModelVersion.__new__(ModelVersion)

    def tried(*, everything: bool) -> Wave:
        one = wave(*["infer"] * 10)
        one.versions["signs"] = Chosen(champion, candidate, lambda _: everything)
        return one

    assert len(list(guard.checked([tried(everything=True)]))) == 1
    with pytest.raises(BrokenModelError):
        list(guard.checked([tried(everything=False)]))
