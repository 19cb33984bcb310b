"""The board in a terminal."""

import pytest
from rich.console import Console

from streamer.dashboard.history import KEPT, History
from streamer.dashboard.top import duration, shown

FIGURES = {
    "stale": False,
    "consumed_per_s": 12.5,
    "done_per_s": 12.0,
    "dead_per_s": 0.5,
    "lag_records": 1200.0,
    "lag_seconds": 30.0,
    "drain_s": 96.0,
    "keeps_up": False,
    "latency": {"p50": 0.02, "p95": 0.1, "p99": 1.5},
    "in_flight": 7.0,
    "dead": 3.0,
    "deadletters": {"decode/not-an-image": 3.0},
    "steps": [
        {
            "name": "detect",
            "model": "signs",
            "version": "3",
            "device": "cpu",
            "sessions": 2,
            "answers_per_s": 12.0,
            "batch_items": 4.0,
            "full_share": 0.5,
            "padding": None,
            "inference": {"p50": 0.004},
        }
    ],
}
STATE = {
    "at": 1_763_000_000.0,
    "daemons": [
        {"name": "a", "url": "http://a", "error": None},
        {"name": "b", "url": "http://b", "error": "http://b does not answer: refused"},
    ],
    "topologies": {"street": FIGURES},
    "accuracies": [
        {"step": "s", "model": "signs", "version": "3", "accuracy": 0.91, "labelled": 40}
    ],
    "deployed": {
        "error": None,
        "learning": [
            {
                "model": "signs",
                "silent": False,
                "run": 4,
                "stage": "compares",
                "progress": 0.5,
                "seconds": 12.0,
                "taken": 1300,
                "due_at": 2000,
                "last": "reject: no gain",
            }
        ],
        "models": [{"model": "signs", "champion": "3", "candidate": "4", "mode": "canary"}],
        "events": [
            {"at": "2026-01-01T10:11:12.000", "model": "signs", "what": "promote", "text": "2 → 3"}
        ],
    },
}


def drawn(state):
    console = Console(width=140)
    with console.capture() as told:
        console.print(shown(state))
    return told.get()


def test_all_that_matters_is_on_the_screen():
    text = drawn(STATE)
    for wanted in (
        "1 of 2 daemons answer",
        "http://b does not answer: refused",
        "street",
        "1,200",
        "96.0 s",
        "1.5 s",
        "street.detect",
        "signs 3",
        "50%",
        "4 (canary)",
        "91%",
        "signs learns: run 4 compares, 50%, for 12.0 s",
        "3 street decode/not-an-image",
        "10:11:12 signs promote 2 → 3",
    ):
        assert wanted in text, text


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"run": None}, "signs learns: 1,300 labels of 2,000; last run: reject: no gain"),
        ({"run": None, "due_at": None, "last": None}, "signs learns: 1,300 labels\n"),
        ({"silent": True}, "signs learns: nothing was heard of its sidecar lately"),
    ],
)
def test_a_sidecar_is_told_of_as_it_is(changed, text):
    [learning] = STATE["deployed"]["learning"]
    deployed = {**STATE["deployed"], "learning": [{**learning, **changed}]}
    assert text in "\n".join(
        line.rstrip() for line in drawn({**STATE, "deployed": deployed}).splitlines()
    )


def test_why_deployments_are_not_known_is_said():
    deployed = {**STATE["deployed"], "error": "Kafka refuses: localhost:9092"}
    assert "deployments: Kafka refuses: localhost:9092" in drawn({**STATE, "deployed": deployed})


def test_a_topology_that_is_gone_is_said_to_be():
    text = drawn({**STATE, "topologies": {"street": {**FIGURES, "stale": True, "keeps_up": True}}})
    assert "street (gone)" in text
    assert "keeps up" in text


def test_an_empty_board_is_a_board():
    state = {**STATE, "daemons": [], "topologies": {}}
    assert "0 of 0 daemons answer" in drawn(state)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0012, "1.2 ms"),
        (0.25, "250 ms"),
        (3.21, "3.2 s"),
        (600, "10 min"),
        (9000, "2.5 h"),
    ],
)
def test_a_duration_is_written_for_people(seconds, text):
    assert duration(seconds) == text


def test_the_charts_keep_a_quarter_of_an_hour_and_show_gaps():
    history = History()
    for at in range(KEPT + 10):
        history.add(1000.0 + at, {"street": {**FIGURES, "stale": at == KEPT + 9}})
    points = history.since(0.0)["street"]
    assert len(points) == KEPT
    assert points[0][1:3] == [12.5, 12.0]
    assert points[-1][1:] == [None] * (len(points[-1]) - 1)
    assert history.since(points[-2][0])["street"] == [points[-1]]
