"""The labelled set on disk: whole or not at all, and forgetful where it must be."""

import pytest
from support.labelling import label

from streamer.errors import DownloadError
from streamer.labels import Withdrawal
from streamer.records import Text
from streamer.retraining.config import Split
from streamer.retraining.examples import Row
from streamer.retraining.labelled import Found, LabelledSet
from streamer.retraining.place import Place
from streamer.retraining.store import Store


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path / "set"))


def row(name: str, text: str = "a b c", answer: str = "x", **more) -> Row:
    return Row(name, sha=text, kind="text", value=text.encode(), label=answer, **more)


def test_what_was_written_is_read_with_the_positions_to_go_on_from(place):
    store = Store(place)
    assert store.rows() == []
    store.append([row("1"), row("2", "d e f")], {0: 5, 3: 7}, {"read": 9})
    again = Store(place)
    assert [one.name for one in again.rows()] == ["1", "2"]
    assert (again.sequence, again.positions, again.counts) == (1, {0: 5, 3: 7}, {"read": 9})
    assert again.values(["d e f"]) == {"d e f": b"d e f"}
    assert again.append([], {0: 6, 3: 7}, {}) == 2


def test_a_shard_that_a_kill_left_half_written_does_not_count(place, tmp_path, monkeypatch):
    store = Store(place)
    store.append([row("1")], {0: 1}, {})
    monkeypatch.setattr("streamer.retraining.place.os.link", lambda *_: 1 / 0)
    with pytest.raises(Exception, match="division"):
        store.append([row("2")], {0: 2}, {})
    monkeypatch.undo()
    again = Store(place)
    assert [one.name for one in again.rows()] == ["1"]
    assert again.positions == {0: 1}
    assert list((tmp_path / "set" / "shards").glob("*.part"))  # it was there, half


def test_compaction_removes_withdrawn_values_from_the_disk_and_keeps_the_rest(place, tmp_path):
    store = Store(place)
    labelled = LabelledSet([], Split(), {})

    def take(name, text):
        found = Found("text", text.encode(), Text(text), None)
        return labelled.take(label(name, "x"), found, store.sequence + 1)

    rows = [take("1", "secret words of somebody"), take("2", "other words altogether")]
    rows.append(take("3", "other words altogether"))
    store.append([one for one in rows if one], {0: 3}, {})
    store.append([labelled.withdraw(Withdrawal("1", 9), 2)], {0: 4}, {})
    store.append([labelled.withdraw(Withdrawal("2", 9), 3)], {0: 5}, {})
    assert store.compact() == 4
    again = Store(place)
    assert [one.name for one in again.rows()] == ["3"]
    [kept] = again.rows()
    assert again.values([kept.sha]) == {kept.sha: b"other words altogether"}
    assert again.positions == {0: 5}
    assert kept.sequence == 1  # when it came, not when it was tidied up
    for file in (tmp_path / "set").rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()


def test_what_a_killed_compaction_has_left_is_passed_over_and_removed(place, tmp_path, monkeypatch):
    store = Store(place)
    store.append([row("1")], {0: 1}, {})
    store.append([row("2", "d e f")], {0: 2}, {})
    monkeypatch.setattr(store, "_remove_replaced", lambda _: None)  # killed just before
    store.compact()
    again = Store(place)
    assert sorted(one.name for one in again.rows()) == ["1", "2"]
    again.append([row("3", "g h i")], {0: 3}, {})
    again.compact()
    assert len(list((tmp_path / "set" / "shards").glob("*.parquet"))) == 1
    assert sorted(one.name for one in Store(place).rows()) == ["1", "2", "3"]


def test_of_two_that_believe_to_be_the_one_the_second_overwrites_nothing(place):
    one, other = Store(place), Store(place)
    one.append([row("1")], {0: 1}, {})
    with pytest.raises(DownloadError, match="FileExistsError"):
        other.append([row("2")], {0: 1}, {})
    assert [found.name for found in Store(place).rows()] == ["1"]


def test_a_compaction_that_stood_still_takes_nothing_from_who_took_over(place):
    """Both write the next number, under different names; the labels of the second stay."""
    stalled = Store(place)
    stalled.append([row("1")], {0: 1}, {})
    successor = Store(place)
    successor.rows()
    successor.append([row("2", "d e f")], {0: 2}, {})
    stalled.compact()  # it goes on where it stood
    successor.append([row("3", "g h i")], {0: 3}, {})
    again = Store(place)
    assert [one.name for one in again.rows()] == ["1", "2", "3"]
    assert again.positions == {0: 3}
    again.tidy()
    again.compact()
    assert sorted(one.name for one in Store(place).rows()) == ["1", "2", "3"]


def test_when_a_cluster_came_is_known_after_its_first_rows_are_gone(place):
    store = Store(place)
    store.append([row("1", cluster="c")], {0: 1}, {})
    store.append([row("2", "d e f", cluster="d")], {0: 2}, {})
    store.append([row("1", answer="y", cluster="c")], {0: 3}, {})  # labelled anew
    for _ in range(2):
        store.compact()
        store = Store(place)
        assert {one.name: one.sequence for one in store.rows()} == {"1": 3, "2": 2}
        assert store.firsts == {"c": 1, "d": 2}
    labelled = LabelledSet(store.rows(), Split(), {}, store.firsts)
    assert labelled._first == {"c": 1, "d": 2}
