"""What was withdrawn is listed with the versions that know it, and shown nowhere any more."""

import pytest

from streamer.retraining.examples import Row
from streamer.retraining.forgetting import Forgetting, derived_from, spots_of, without
from streamer.retraining.place import Place
from streamer.retraining.runs import Runs


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path))


def ended(runs: Runs, champion: str, version: str | None, trained: tuple[str, ...]):
    run = runs.begin(
        why="test", champion=champion, set_version=1, digest="d", taken=1, trained=trained
    )
    return runs.keep(run, stage="done", verdict="promote", version=version)


def withdrawal(name: str, sequence: int = 3) -> Row:
    return Row(name, withdrawn=True, sequence=sequence)


def shown(*names: str) -> str:
    listed = "\n".join(names)
    return f"<div>a text<br>is <b>x</b><br><span class=place>{listed}</span></div>"


def test_versions_that_learnt_from_a_withdrawn_example_are_listed_and_those_made_of_them(place):
    runs = Runs(place)
    ended(runs, "1", "2", ("a", "b"))
    ended(runs, "1", "3", ("b",))
    ended(runs, "2", "4", ("b",))
    ended(runs, "4", None, ("b",))
    ended(runs, "4", "5", ())
    forgetting = Forgetting(place, runs)
    assert forgetting.note([withdrawal("a"), Row("b")]) == ["a"]
    [listed] = forgetting.listed()
    assert (listed.name, listed.versions, listed.derived) == ("a", ("2",), ("4", "5"))


def test_a_withdrawal_that_is_noted_again_after_a_kill_is_listed_once(place):
    forgetting = Forgetting(place, Runs(place))
    for _ in range(2):
        assert forgetting.note([withdrawal("a")]) == ["a"]
    assert len(forgetting.listed()) == 1
    forgetting.note([withdrawal("a", 9)])  # labelled anew, and withdrawn anew
    assert [one.set_version for one in forgetting.listed()] == [3, 9]


def test_reports_show_withdrawn_examples_no_more_and_keep_the_others(place):
    runs = Runs(place)
    run = ended(runs, "1", "2", ())
    page = f"<h1>r</h1><div class=worst>{shown('t/0/1/s', 'other')}{shown('t/0/11/s')}</div>"
    place.write(f"{run.folder}/report.html", page.encode())
    Forgetting(place, runs).note([withdrawal("other")])
    left = (place.read(f"{run.folder}/report.html") or b"").decode()
    assert "t/0/1/s" not in left
    assert shown("t/0/11/s") in left
    assert left.startswith("<h1>r</h1><div class=worst><div>withdrawn</div>")


def test_a_page_without_withdrawn_examples_stays_as_it_is():
    page = shown("a&amp;b") + shown("c")
    assert without(page, ["a", "b"]) == page
    assert without(page, ["a&b"]) == "<div>withdrawn</div>" + shown("c")


def test_records_are_found_by_the_names_of_their_labels():
    assert spots_of(["t/0/1/s", "t/2/3/s/4", "an id of its own"]) == [("t", 0, 1), ("t", 2, 3)]


def test_versions_made_of_others_are_found_through_any_number_of_steps(place):
    runs = Runs(place)
    for champion, version in (("1", "2"), ("2", "3"), ("3", "4"), ("1", "5")):
        ended(runs, champion, version, ())
    assert derived_from(["2"], runs.all()) == ["3", "4"]
