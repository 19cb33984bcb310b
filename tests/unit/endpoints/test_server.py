import json
import socket
import time
from contextlib import closing
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from streamer.config.settings import HttpSettings
from streamer.endpoints import Endpoints
from streamer.errors import ConfigError
from streamer.telemetry import Metrics


class Patient:
    def __init__(self) -> None:
        self.answers = {"started": (True, ""), "ready": (True, ""), "live": (True, "")}

    def started(self):
        return self.answers["started"]

    def ready(self):
        return self.answers["ready"]

    def live(self):
        if isinstance(self.answers["live"], Exception):
            raise self.answers["live"]
        return self.answers["live"]


def asked(endpoints: Endpoints, path: str, **headers: str) -> tuple[int, str, str]:
    with closing(HTTPConnection("127.0.0.1", endpoints.port, timeout=5)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers["content-type"], response.read().decode()


@pytest.fixture
def patient():
    return Patient()


@pytest.fixture
def endpoints(patient):
    metrics = Metrics()
    metrics.consumed("street", 3)
    status = {"topologies": {"street": {"lag": 0}}, "password": SecretStr("hunter2")}
    http = HttpSettings(host="127.0.0.1", port=0)
    with Endpoints(http, patient, metrics.registry, lambda: status) as endpoints:
        yield endpoints


@pytest.mark.parametrize(
    ("path", "name"), [("/startupz", "started"), ("/readyz", "ready"), ("/livez", "live")]
)
def test_a_probe_says_yes_or_no_and_why(endpoints, patient, path, name):
    code, kind, body = asked(endpoints, path)
    assert (code, kind, json.loads(body)) == (200, "application/json", {"ok": True})
    patient.answers[name] = (False, "models are being loaded")
    code, _, body = asked(endpoints, path)
    assert (code, json.loads(body)["reason"]) == (503, "models are being loaded")


def test_a_probe_that_fails_says_so(endpoints, patient):
    patient.answers["live"] = RuntimeError("broken")
    code, _, body = asked(endpoints, "/livez")
    assert (code, json.loads(body)["reason"]) == (503, "unknown: RuntimeError: broken")


def test_metrics_are_what_prometheus_reads(endpoints):
    code, kind, body = asked(endpoints, "/metrics")
    assert code == 200
    assert kind.startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(body)}
    assert {"streamer_records_consumed", "process_resident_memory_bytes"} <= names
    _, kind, _ = asked(endpoints, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")


def test_the_status_is_json_and_keeps_secrets(endpoints):
    code, kind, body = asked(endpoints, "/status")
    assert (code, kind) == (200, "application/json")
    assert json.loads(body)["topologies"] == {"street": {"lag": 0}}
    assert "hunter2" not in body


def test_the_root_lists_the_paths_and_others_are_not_found(endpoints):
    assert "/readyz" in asked(endpoints, "/")[2]
    assert asked(endpoints, "/nothing")[0] == 404


def test_a_taken_port_is_an_error_of_configuration(patient):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = HttpSettings(host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match=r"is taken by another .* STREAMER_HTTP__PORT"):
            Endpoints(http, patient, Metrics().registry, dict).start()


def test_an_address_of_elsewhere_is_an_error_of_configuration(patient):
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(ConfigError, match="STREAMER_HTTP__HOST"):
            Endpoints(HttpSettings(host=host), patient, Metrics().registry, dict).start()


def test_stopping_is_quick_even_with_an_open_connection(patient):
    http = HttpSettings(host="127.0.0.1", port=0)
    endpoints = Endpoints(http, patient, Metrics().registry, dict)
    endpoints.start()
    port = endpoints.port
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)
        began = time.monotonic()
        endpoints.stop()
        assert time.monotonic() - began < 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_disabled_endpoints_listen_to_nothing(patient):
    with Endpoints(HttpSettings(enabled=False), patient, Metrics().registry, dict) as endpoints:
        assert endpoints.url is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "127.0.0.1"}, "http://127.0.0.1:{port}"),
        ({}, "http://{host}:{port}"),
        ({"advertised_url": "http://10.1.2.3:80"}, "http://10.1.2.3:80"),
    ],
)
def test_others_are_told_an_address_that_they_can_reach(given, told):
    endpoints = Endpoints(HttpSettings(port=0, **given), Patient(), Metrics().registry, dict)
    assert endpoints.advertised is None, "nothing is listened on yet"
    with endpoints:
        wanted = told.format(host=socket.gethostname(), port=endpoints.port)
        assert endpoints.advertised == wanted
