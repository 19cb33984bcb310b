import pytest

from streamer.consume.caution import Attempt, Caution
from streamer.records import TopicPartition

PARTITION = TopicPartition("photos", 0)


def crashes(times: int, note: str = "") -> tuple[Caution, str]:
    """Let so many owners in a row begin the partition's records and die."""
    for _ in range(times):
        caution = Caution(wave_records=4096)
        caution.settled(PARTITION, Attempt.read(note))
        attempt = caution.to_note(PARTITION)
        assert attempt is not None
        note = attempt.note
        caution.noted(PARTITION, attempt)
    return caution, note


def test_a_note_is_read_back_as_it_was_written() -> None:
    attempt = Attempt(3, 8)
    assert Attempt.read(attempt.note) == attempt
    assert Attempt.read("") == Attempt.read("somebody else's words") == Attempt()


@pytest.mark.parametrize(("times", "step"), [(1, None), (2, 64), (3, 8), (4, 1), (7, 1)])
def test_steps_get_smaller_with_each_crash(times: int, step: int | None) -> None:
    caution, _ = crashes(times)
    assert caution.step(PARTITION) == step
    assert caution.give_up(PARTITION) is None


def test_the_record_that_kills_alone_is_given_up_once() -> None:
    caution, _ = crashes(8)
    assert caution.give_up(PARTITION) == 7
    assert caution.give_up(PARTITION) is None
    assert caution.step(PARTITION) == 1


def test_an_ordinary_commit_clears_the_first_attempt() -> None:
    caution, note = crashes(1)
    assert note == "streamer tries=1"
    assert caution.note(PARTITION) == ""


def test_small_steps_are_kept_over_commits_until_enough_records_have_passed() -> None:
    caution, _ = crashes(3)
    caution.passed(PARTITION, 100)
    assert caution.note(PARTITION) == "streamer tries=3 step=8"
    caution.passed(PARTITION, 28)
    assert caution.note(PARTITION) == ""
    assert caution.step(PARTITION) is None


def test_records_are_noted_once_and_not_before_they_are_there() -> None:
    caution = Caution(wave_records=100)
    assert caution.to_note(PARTITION) is None
    caution.settled(PARTITION, Attempt())
    assert caution.to_note(PARTITION) == Attempt(1)
    caution.noted(PARTITION, Attempt(1))
    assert caution.to_note(PARTITION) is None


def test_partitions_that_went_are_forgotten() -> None:
    caution, _ = crashes(3)
    assert caution.careful
    caution.forget(set())
    assert caution.step(PARTITION) is None
    assert not caution.careful


def test_an_owner_that_lives_has_not_died_of_its_records() -> None:
    attempt = Attempt(2, 64, "streamer-1")
    assert Attempt.read(attempt.note) == attempt
    assert attempt.undone() == Attempt(1, None, "streamer-1")
    assert attempt.undone().again("streamer-2") == Attempt(2, 64, "streamer-2")
    assert Attempt().undone() == Attempt()


def test_a_record_that_passes_alone_clears_the_next_one() -> None:
    caution, _ = crashes(7)
    note = caution.note(PARTITION)
    assert note == "streamer tries=4 step=1"
    caution, _ = crashes(1, note)
    assert caution.give_up(PARTITION) is None
