"""A run's report names its version once there is one."""

import json

from streamer.retraining.place import Place
from streamer.retraining.report import NOT_REGISTERED
from streamer.retraining.reported import name_version
from streamer.retraining.runs import Runs


def test_the_version_that_a_run_became_is_put_into_its_report(tmp_path):
    place = Place(str(tmp_path))
    runs = Runs(place)
    run = runs.begin(why="test", champion="1", set_version=1, digest="d", taken=1)
    place.write(f"{run.folder}/report.json", b'{"version": null, "verdict": "promote"}')
    page = f"<td>challenger</td><td>{NOT_REGISTERED}</td><p>a text that is {NOT_REGISTERED}</p>"
    place.write(f"{run.folder}/report.html", page.encode())
    run = runs.keep(run, version="7")
    for _ in range(2):  # once more after a kill
        assert name_version(place, run) == run
    told = json.loads(place.read(f"{run.folder}/report.json") or b"")
    assert told == {"version": "7", "verdict": "promote"}
    left = (place.read(f"{run.folder}/report.html") or b"").decode()
    assert left == page.replace(NOT_REGISTERED, "7", 1)


def test_a_run_without_a_report_stays_as_it_is(tmp_path):
    place = Place(str(tmp_path))
    runs = Runs(place)
    run = runs.begin(why="test", champion="1", set_version=1, digest="d", taken=1)
    assert name_version(place, run) == run
    assert place.read(f"{run.folder}/report.json") is None
