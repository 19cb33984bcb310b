"""The page over HTTP: its files, its headers, and who may replay."""

import re

import pytest
from starlette.testclient import TestClient

from streamer.dashboard.application import chart_file, page_application
from streamer.errors import BrokerError

TOKEN = {"authorization": "Bearer open sesame"}


class Shown:
    letter_topics = frozenset({"t.dead"})

    def state(self, since=0.0):
        return {"since": since}

    def image(self, number):
        return b"jpeg" if number == 1 else None


class Replays:
    def __init__(self):
        self.asked = []

    def __call__(self, topic, reason):
        self.asked.append((topic, reason))
        return {"in": 3}, False


@pytest.fixture
def replays():
    return Replays()


@pytest.fixture
def page(replays):
    return TestClient(page_application(Shown(), "open sesame", replays))


def test_the_page_loads_only_what_is_served_beside_it(page):
    html = page.get("/").text
    links = re.findall(r'(?:src|href)="([^"#][^"]*)"', html)
    assert {"file/page.js", "file/page.css", "file/uPlot.iife.js"} <= set(links)
    assert all(page.get(f"/{link}").status_code == 200 for link in links)
    for link in links:
        if "uPlot" not in link:  # its comments name where it is from
            found = set(re.findall(r"https?://[\w.]+", page.get(f"/{link}").text))
            assert found <= {"http://www.w3.org"}, link


def test_nothing_from_elsewhere_may_run_in_it(page):
    policy = page.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_there_is_no_other_file(page):
    assert page.get("/file/application.py").status_code == 404
    assert page.get("/file/..%2Fapplication.py").status_code == 404


def test_the_chart_library_is_the_installed_one():
    assert "uPlot" in chart_file("uPlot.iife.js")[:500]


def test_the_state_begins_where_the_page_left_off(page):
    assert page.get("/state?since=12.5").json() == {"since": 12.5, "replay": True}
    assert page.get("/state?since=x").json()["since"] == 0.0


def test_a_picture_is_given_as_long_as_it_is_kept(page):
    assert page.get("/picture/1").content == b"jpeg"
    assert page.get("/picture/2").status_code == 404


def test_who_shows_the_token_replays(page, replays):
    answer = page.post("/replay", json={"topic": "t.dead", "reason": "bad"}, headers=TOKEN)
    assert (answer.status_code, answer.json()) == (200, {"replayed": {"in": 3}, "more": False})
    assert replays.asked == [("t.dead", "bad")]


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, '{"topic": "t.dead"}', 401),
        ({"authorization": "Bearer open"}, '{"topic": "t.dead"}', 401),
        (TOKEN, '{"topic": "other"}', 404),
        (TOKEN, "[]", 400),
        (TOKEN, "{", 400),
        (TOKEN, "{}", 400),
    ],
)
def test_nobody_else_and_nothing_else(page, replays, headers, body, code):
    assert page.post("/replay", content=body, headers=headers).status_code == code
    assert replays.asked == []


def test_without_a_token_nobody_replays(replays):
    page = TestClient(page_application(Shown(), None, replays))
    assert page.get("/state").json()["replay"] is False
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer None"}):
        answer = page.post("/replay", json={"topic": "t.dead"}, headers=headers)
        assert answer.status_code == 403
    assert replays.asked == []


def test_a_replay_that_kafka_refuses_says_why():
    def refused(topic, reason):
        raise BrokerError("not allowed to write", retriable=False)

    page = TestClient(page_application(Shown(), "open sesame", refused))
    answer = page.post("/replay", json={"topic": "t.dead"}, headers=TOKEN)
    assert (answer.status_code, answer.json()) == (502, {"error": "not allowed to write"})


def test_replaying_is_no_get(page):
    assert page.get("/replay", headers=TOKEN).status_code == 405
