"""Looking at processes: those that answer, those that do not, those that are one."""

import socket
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from streamer.config.settings import HttpSettings
from streamer.dashboard.scrape import SilentError, scraped
from streamer.dashboard.watch import Watch, checked, looks_of
from streamer.endpoints import Endpoints, Served
from streamer.errors import ConfigError

HERE = HttpSettings(host="127.0.0.1", port=0)


class Healthy:
    def started(self):
        return True, ""

    ready = live = started


def process(**status):
    registry = CollectorRegistry()
    counter = Counter("streamer_records_consumed", "", ["topology"], registry=registry)
    counter.labels("t").inc(5)
    told = {"instance": "one", "topologies": {"t": {}}, **status}
    return Endpoints(HERE, Healthy(), registry, lambda: told)


def answering(*routes):
    return Served(HERE, Starlette(routes=list(routes)), "a test")


def test_a_look_brings_metrics_and_status():
    with process() as served:
        found = scraped(served.url)
    assert found.by("records_consumed_total", "topology") == {("t",): 5.0}
    assert found.status["instance"] == "one"


def test_who_does_not_answer_is_said_to_be_silent():
    with process() as served:
        url = served.url
    with pytest.raises(SilentError, match="does not answer"):
        scraped(url)


def test_who_answers_something_else_is_said_so():
    page = Route("/{path:path}", lambda _: PlainTextResponse("<html>"))
    with answering(page) as served, pytest.raises(SilentError, match="not as streamer does"):
        scraped(served.url)


def test_nobody_sends_a_look_elsewhere():
    with process() as target:
        away = Route("/{path:path}", lambda _: RedirectResponse(f"{target.url}/metrics"))
        with answering(away) as served, pytest.raises(SilentError, match="307"):
            scraped(served.url)


def test_a_process_that_went_is_kept_with_what_it_said_last():
    with process() as served:
        watch = Watch([served.url], 1.0)
        watch.look()
        [there] = watch.processes()
        assert there.error is None
        assert len(looks_of([there], "t")) == 1
    watch.look()
    [gone] = watch.processes()
    assert "does not answer" in gone.error
    assert (gone.name, gone.seen) == ("one", there.seen)
    assert looks_of([gone], "t") == []


def test_a_process_with_two_addresses_counts_once():
    with process(process="abc") as served:
        other = served.url.replace("127.0.0.1", "localhost")
        watch = Watch([served.url], 1.0, lambda: [other])
        watch.look()
        assert [one.url for one in watch.processes()] == [served.url]


def test_processes_that_come_up_are_looked_at():
    found = []
    with process() as served:
        watch = Watch([], 1.0, lambda: found)
        watch.look()
        assert watch.processes() == []
        found.append(served.url)
        watch.look()
        assert [one.error for one in watch.processes()] == [None]


def test_one_odd_address_leaves_the_others_to_be_seen():
    """Addresses come from a topic, too, to which anybody may write who may write to it."""
    with socket.create_server(("127.0.0.1", 0)) as silent, process() as served:
        rude = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def answer():
            peer, _ = silent.accept()
            with peer:
                peer.sendall(b"220 this is no HTTP\r\n\r\n")

        Thread(target=answer, daemon=True).start()
        odd = ["myhost", "file:///etc/hostname", "http://a..b", "http://[", rude]
        watch = Watch([], 1.0, lambda: [*odd, served.url])
        watch.look()
        assert [one.name for one in watch.processes() if one.error is None] == ["one"]
        assert not any(one.url.startswith("file") for one in watch.processes())


def test_processes_near_by_are_not_asked_through_a_proxy(monkeypatch):
    with process() as served:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert scraped(served.url).status["instance"] == "one"


def test_a_name_stands_for_all_its_addresses():
    with process() as served:
        watch = Watch([f"dns+{served.url}"], 1.0)
        watch.look()
        assert [one.url for one in watch.processes()] == [served.url]


def test_a_status_that_is_no_object_breaks_nothing():
    routes = [
        Route("/metrics", lambda _: PlainTextResponse("")),
        Route("/status", lambda _: JSONResponse([1])),
    ]
    with answering(*routes) as served:
        assert scraped(served.url).status == {}


@pytest.mark.parametrize("url", ["ftp://host:1", "http://", "http://host:x", "dns+ftp://a:1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match="no address of a daemon"):
        checked(url)


@pytest.mark.parametrize(
    ("given", "plain"),
    [("host:8080", "http://host:8080"), ("http://host:8080/", "http://host:8080")],
)
def test_an_address_is_written_one_way(given, plain):
    assert checked(given) == plain
