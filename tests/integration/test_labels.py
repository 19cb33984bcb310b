"""What comes on a labels topic of a real broker: counted, learnt from or refused, forgotten."""

import io
import json
import subprocess
import sys
import time
from functools import partial
from html import escape
from threading import Event, Thread

import pyarrow.parquet as pq
import pytest
from support import learning
from support.topics import Sent
from support.world import World

from streamer.labels import Place, is_random
from streamer.labels.requests import draw
from streamer.retraining.config import Split
from streamer.retraining.examples import digest_of, side_of

_MESSAGES = 400


def labels_of(world, **more):
    """A label of each message, in the order of the topic."""
    return [
        learning.label_of(world.source_of(got), world.truth_of(got.value), **more)
        for got in world.topics.read(world.source)
    ]


def stored(world) -> bytes:
    """Everything in the files of the set and the runs, Parquet unpacked."""
    parts = []
    for file in sorted((world.folder / "set").rglob("*")):
        if file.suffix == ".parquet":
            rows = pq.read_table(io.BytesIO(file.read_bytes())).to_pylist()
            parts.append(repr(rows).encode())
        elif file.is_file():
            parts.append(file.read_bytes())
    return b"\n".join(parts)


@pytest.mark.timeout(300)
def test_duplicates_contradictions_other_kinds_and_what_is_no_label_are_counted_each(world):
    world.serve_first()
    world.send(80)
    first = labels_of(world)
    text = world.topics.read(world.source)[0].value.decode()
    truth = world.truth_of(text.encode())
    other = next(one for one in learning.LABELS if one != truth)
    world.topics.send(world.labels, first)
    world.topics.send(world.labels, first * 4)  # a flood
    said = [
        Sent(json.dumps({"text": text, "label": other}).encode(), b"somebody-else"),
        learning.label_of(world.source_of(world.topics.read(world.source)[1]), "refund", step="x"),
        Sent(b'{"text": "a b", "score": 0.5}', b"a-similarity"),
        Sent(b"{", b"no-json"),
        Sent(b'{"text": "a b", "label": "refund", "propensity": 7}', b"a-wrong-number"),
        Sent(None, b"nobody-knows-this-one"),
        Sent(None),
    ]
    world.topics.send(world.labels, said)
    world.work()
    counts = world.status()["set"]["labels"]
    assert counts["read"] == 5 * 80 + len(said)
    assert counts["taken"] == 80 + 1
    assert counts["duplicate"] == 4 * 80
    assert counts["contradictory"] == 1
    assert counts["other_step"] == 1
    assert counts["withdrawn_unknown"] == 1
    assert counts["malformed"] == 4
    letters = world.topics.read(f"{world.labels}.deadletters")
    reasons = sorted(one.error("reason") for one in letters)
    assert reasons == ["invalid-json", "no-key", "wrong-kind", "wrong-propensity"]
    assert {one.value for one in letters} >= {b"{", None}  # byte for byte
    assert sum(world.status()["set"]["examples"].values()) <= 80


@pytest.mark.timeout(300)
def test_labels_past_retention_are_learnt_from_copies_and_counted_where_there_is_none(world):
    world.configure(labels={"capture": {"share": 0.4}})
    world.serve_first()
    world.send(200)
    world.predict()
    world.work()  # copies are made of what was answered
    labels = labels_of(world)
    world.topics.expire(world.source, world.topics.ends(world.source))
    assert world.topics.read(world.source) == []
    world.topics.send(world.labels, labels)
    world.work(now=True)
    copied = sum(
        draw(Place(world.source, partition, offset)) < 0.4
        for partition in range(2)
        for offset in range(100)
    )
    counts = world.status()["set"]["labels"]
    assert 0 < copied < 200
    assert (counts["taken"], counts["label_ref_missing"]) == (copied, 200 - copied)
    assert len(world.kept()) == copied
    assert world.report()["verdict"] == "inconclusive"


@pytest.mark.timeout(300)
def test_a_withdrawn_example_is_in_no_later_set_and_no_file_and_versions_that_know_it_are_listed(
    world,
):
    world.configure(trigger={"labels": _MESSAGES}, labels={"capture": {"share": 1.0}})
    world.serve_first()
    world.send(_MESSAGES)
    world.predict()
    world.label_all()
    world.work()
    [first] = world.runs()
    assert (first.verdict, first.version) == ("promote", "2")
    held_out = sorted(set(world.kept()) - set(first.trained))
    names = [first.trained[0], held_out[0]]
    texts = {}
    for got in world.topics.read(world.source):
        texts[f"{world.source}/{got.partition}/{got.offset}"] = got.value
    gone = {name: texts[name.rpartition("/")[0]] for name in names}
    assert all(value in stored(world) for value in gone.values())
    keys = [name.rpartition("/")[0].encode() for name in names]
    world.topics.send(world.labels, [Sent(None, key) for key in keys])
    world.work(now=True)
    second = world.runs()[-1]
    assert second.number == 2
    assert len(second.trained) > 200
    assert not set(names) & set(second.trained)
    assert not set(names) & set(world.kept())
    left = stored(world)
    assert not any(value in left for value in gone.values())
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "streamer", "retrain", str(world.file), "--withdrawals"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = {line.split()[1].rstrip(":"): line for line in done.stdout.splitlines()}
    assert told[names[0]].endswith("learnt by 2")
    assert told[names[1]].endswith("learnt by no version")


@pytest.mark.timeout(300)
def test_people_are_asked_about_a_random_share_and_the_least_certain_once_each_also_after_a_pause(
    world,
):
    requests = f"{world.labels}.requests"
    world.topics.own(requests)
    world.configure(label_requests={"topic": requests, "random": 0.1, "uncertain": 0.1})
    world.serve_first()
    world.work()  # begins with what comes from here on
    world.send(600)
    scores = []

    def score() -> float:
        scores.append(world.draw.random())
        return scores[-1]

    world.predict(score)  # while no sidecar looks
    world.work()
    world.work()
    asked = [one.json for one in world.topics.read(requests)]
    keys = [one.key.decode() for one in world.topics.read(requests)]
    assert len(keys) == len(set(keys))
    places = {
        (partition, offset): Place(world.source, partition, offset)
        for partition in range(2)
        for offset in range(300)
    }
    drawn = {at for at, place in places.items() if is_random(place, 0.1)}
    by_chance = [one for one in asked if one["reason"] == "random"]
    assert {(one["ref"]["partition"], one["ref"]["offset"]) for one in by_chance} == drawn
    assert {one["propensity"] for one in by_chance} == {0.1}
    unsure = [one for one in asked if one["reason"] == "uncertain"]
    assert 0.03 * 600 < len(unsure) < 0.15 * 600
    told = {
        (o.json["source"]["partition"], o.json["source"]["offset"]): o.json
        for o in world.topics.read(world.sink)
    }
    low = sorted(scores)[int(0.25 * len(scores))]
    for one in unsure:
        answer = told[one["ref"]["partition"], one["ref"]["offset"]]
        [step] = answer["predictions"].values()
        assert step["output"][0]["score"] <= low
        assert one["answered"] == step["output"][0]["label"]
    assert all("timestamp" in one["ref"] and one["step"] for one in asked)


@pytest.mark.timeout(300)
def test_a_run_begins_when_live_accuracy_has_surely_dropped_and_not_before(world):
    world.configure(trigger={"labels": 1_000_000, "accuracy_drop": True})
    world.serve_first()
    hours = [int(time.time() * 1000) - ago * 3_600_000 for ago in (5, 3)]
    for at in hours:
        world.send(100, timestamp=at)
    wrong = dict(zip(learning.LABELS, reversed(learning.LABELS), strict=True))

    def answer(got) -> str:
        truth = world.truth_of(got.value)
        late = got.timestamp >= hours[1]
        return wrong[truth] if late and got.offset % 2 else truth

    world.predict(answer=answer)
    labels = labels_of(world, reason="random")
    half = [one for one in labels if json.loads(one.value)["ref"]["timestamp"] < hours[1]]
    world.topics.send(world.labels, half)
    world.work()
    assert world.runs() == []
    world.topics.send(world.labels, [one for one in labels if one not in half])
    world.work()
    [run] = world.runs()
    assert run.why.startswith("live accuracy of version 1 fell from 100.0% to ")
    [live] = world.status()["live"].values()
    assert live["random_labelled"] == live["answered"] == 200
    assert live["random_coverage"] == live["coverage"] == 1.0
    assert 0.6 < live["accuracy"] < 0.9


@pytest.mark.timeout(300)
def test_labels_that_never_stop_coming_keep_no_run_from_beginning(world):
    world.serve_first()
    world.send(100)
    labels = labels_of(world)
    world.topics.send(world.labels, labels)
    ended = Event()

    def go_on() -> None:
        while not ended.is_set():
            world.topics.send(world.labels, labels[:3])
            ended.wait(0.02)

    sending = Thread(target=go_on)
    sending.start()
    try:
        world.work(now=True, give_up_after=90)
    finally:
        ended.set()
        sending.join()
    assert [run.why for run in world.runs()] == ["asked for"]


@pytest.mark.timeout(300)
def test_a_run_begins_when_what_comes_is_unlike_what_was_there_and_its_report_says_so(world):
    world.configure(trigger={"labels": None, "drift": True})
    world.serve_first()
    world.send(300)
    world.label_all()
    world.work(now=True)
    assert world.report(1)["drift"] == "none was found"
    world.send(100)  # of the same kind
    world.label_all()
    world.work()
    assert len(world.runs()) == 1
    world.send(200, labels=("invoice",))
    world.label_all()
    world.work()
    second = world.runs()[-1]
    assert second.number == 2
    assert second.why.startswith("inputs have drifted")
    assert world.report(2)["drift"].startswith("inputs have drifted")


def three_in_ten_wrong(world, text: bytes) -> str:
    return world.draw.choice(learning.LABELS) if world.draw.random() < 0.4 else world.truth_of(text)


def all_of_one_class(world, text: bytes) -> str:
    return "refund"


def misleading(world, text: bytes) -> str:
    """What is learnt from is turned round; what is held out is not."""
    split = Split()
    truth = world.truth_of(text)
    if side_of(f"sha:{digest_of(text)}", split.validation, split.test) == "test":
        return truth
    return learning.LABELS[(learning.LABELS.index(truth) + 1) % len(learning.LABELS)]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("says", "verdicts", "reason"),
    [
        (three_in_ten_wrong, ("reject", "inconclusive"), "gain"),
        (all_of_one_class, ("inconclusive",), "all of one label: refund"),
        (misleading, ("reject",), "falls from"),
    ],
)
def test_labels_that_teach_wrong_things_promote_nothing_and_the_reason_is_told(  # noqa: PLR0917
    topics, daemons, broker, tmp_path, says, verdicts, reason
):
    world = World(topics, daemons, broker, tmp_path, partial(learning.model, known=1.0))
    ledger = world.serve_first()
    world.send(900)
    labels = [
        learning.label_of(world.source_of(got), says(world, got.value))
        for got in topics.read(world.source)
    ]
    topics.send(world.labels, labels)
    world.work(now=True)
    [run] = world.runs()
    assert run.verdict in verdicts, run
    assert reason in "; ".join(run.reasons)
    assert (run.version, ledger.read()[world.model].champion) == (None, "1")
    assert [one.name for one in (tmp_path / "models" / world.model).iterdir()] == ["1"]
    told = [one for one in ledger.history(world.model) if one.action == f"retrain: {run.verdict}"]
    assert [reason in one.reason for one in told] == [True]
    page = (tmp_path / "set" / run.folder / "report.html").read_text()
    assert run.verdict in page
    assert escape(run.reasons[0]) in page
