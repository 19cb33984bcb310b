"""Which label of an example counts, and which side it is on."""

import cv2
import numpy as np
import pytest
from support.labelling import label

from streamer.labels import Withdrawal
from streamer.records import Image, Text
from streamer.retraining.config import Split
from streamer.retraining.labelled import Found, LabelledSet
from streamer.retraining.near import alike, pairs_across, signature

SPLIT = Split()


def found(text: str, group: str | None = None) -> Found:
    return Found("text", text.encode(), Text(text), group)


def words(rng, count: int = 12) -> str:
    return " ".join(f"w{number}" for number in rng.integers(0, 5000, count))


@pytest.fixture
def labelled():
    return LabelledSet([], SPLIT, {})


def test_the_last_label_of_a_name_counts_and_repeating_it_says_nothing_new(labelled):
    assert labelled.take(label("1", "a"), found("one two three"), 1) is not None
    assert labelled.take(label("1", "a"), found("one two three"), 1) is None
    labelled.take(label("1", "b"), found("one two three"), 2)
    [example] = labelled.examples()
    assert example.answer == "b"
    assert (labelled.counts["duplicate"], labelled.counts["replaced"]) == (1, 1)


def test_a_flood_of_duplicates_is_one_example_and_its_value_is_kept_once(labelled):
    rows = [labelled.take(label(str(n), "a"), found("one two three"), 1) for n in range(1000)]
    assert len(labelled.examples()) == 1
    assert sum(row.value is not None for row in rows) == 1
    assert labelled.counts["duplicate"] == 999


def test_labels_that_contradict_each_other_are_counted_and_the_newest_holds(labelled):
    labelled.take(label("1", "a", at=1), found("one two three"), 1)
    labelled.take(label("2", "b", at=2), found("one two three"), 1)
    [example] = labelled.examples()
    assert (example.answer, labelled.counts["contradictory"]) == ("b", 1)


def test_a_withdrawn_example_is_gone_unless_somebody_else_labelled_it_too(labelled):
    labelled.take(label("1", "a"), found("one two three"), 1)
    labelled.take(label("2", "a"), found("one two three"), 1)
    labelled.withdraw(Withdrawal("1", 5), 2)
    assert [one.names for one in labelled.examples()] == [("2",)]
    labelled.withdraw(Withdrawal("2", 5), 2)
    assert labelled.examples() == []
    assert labelled.withdraw(Withdrawal("2", 5), 2) is None
    assert labelled.counts["withdrawn"] == 2


def test_no_example_nor_its_near_twin_is_ever_on_two_sides(labelled):
    rng = np.random.default_rng(0)
    for number in range(300):
        text = words(rng, 30)
        labelled.take(label(f"{number}", "a"), found(text), 1)
        labelled.take(label(f"{number}-twin", "a"), found(f"{text} please"), 1)
    examples = labelled.examples()
    assert {one.side for one in examples} == {"train", "validation", "test"}
    assert pairs_across((one.signature, one.side) for one in examples) == 0
    by_hash = [(one.signature, "ab"[hash(one.sha) % 2]) for one in examples]
    assert pairs_across(by_hash) > 50  # what the split prevents, seen


def test_what_belongs_together_stays_together_and_what_joins_two_sides_is_left_out(labelled):
    rng = np.random.default_rng(1)
    for number in range(200):
        labelled.take(label(f"{number}", "a"), found(words(rng), f"user{number % 20}"), 1)
    sides: dict[str, set] = {}
    for one in labelled.examples():
        sides.setdefault(one.cluster, set()).add(one.side)
    assert len(sides) == 20
    assert all(len(found) == 1 for found in sides.values())
    by_side = {one.side: one for one in labelled.examples()}
    near = words(rng, 30)
    train = by_side["train"].cluster.removeprefix("group:")
    test = by_side["test"].cluster.removeprefix("group:")
    labelled.take(label("x", "a"), found(near, train), 1)
    labelled.take(label("y", "a"), found(f"{near} too", test), 1)
    assert labelled.row("y").apart
    assert labelled.counts["apart"] == 1


@pytest.mark.parametrize("text", ["the very same words of both", "the very same words of both too"])
def test_what_is_near_to_another_groups_stands_on_no_side_if_its_own_will_have_another(
    labelled, text
):
    """In whichever order they come, a group is on one side only."""
    sides = {}
    for number in range(50):
        place = labelled.take(
            label(f"{number}", "a"), found(f"only {number} here", f"g{number}"), 1
        )
        sides[place.cluster.removeprefix("group:")] = next(
            one.side for one in labelled.examples() if one.cluster == place.cluster
        )
    train = next(group for group, side in sides.items() if side == "train")
    test = next(group for group, side in sides.items() if side == "test")
    fresh = LabelledSet([], SPLIT, {})
    fresh.take(label("j", "a"), found("the very same words of both", train), 1)
    near = fresh.take(label("k", "a"), found(text, test), 1)  # nothing is known of its group yet
    assert near.apart
    later = fresh.take(label("k2", "a"), found("nothing like it at all", test), 1)
    assert later.cluster == f"group:{test}"
    assert {one.side for one in fresh.examples() if one.names != ("j",)} <= {"none", "test"}


def test_what_was_held_out_is_learnt_from_once_it_is_retired_and_newer_groups_are_held_out(
    labelled,
):
    rng = np.random.default_rng(2)
    for number in range(100):
        labelled.take(label(f"old{number}", "a"), found(words(rng)), 1)
    held_out = {one.sha for one in labelled.examples() if one.side == "test"}
    for number in range(100):
        labelled.take(label(f"new{number}", "a"), found(words(rng)), 2)
    after = {one.sha: one.side for one in labelled.examples(retired=1)}
    assert {after[sha] for sha in held_out} == {"train"}
    assert "test" in after.values()


def test_pictures_are_near_after_another_encoding_and_not_when_they_show_something_else():
    rng = np.random.default_rng(3)
    pixels = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (128, 96))
    jpeg = cv2.imdecode(cv2.imencode(".jpg", pixels, [1, 60])[1], cv2.IMREAD_COLOR)
    smaller = cv2.resize(pixels, (100, 75))
    other = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (128, 96))
    one = signature(Image(pixels))
    assert alike(one, signature(Image(jpeg)))
    assert alike(one, signature(Image(smaller)))
    assert not alike(one, signature(Image(other)))
    plain = np.full((50, 50, 3), 90, np.uint8)
    assert not alike(signature(Image(plain)), signature(Image(plain + 5)))
