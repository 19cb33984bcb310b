import base64
import time

import pytest

from streamer.config.settings import RegistrySettings
from streamer.errors import BrokerError, ConfigError, DecodeError
from streamer.formats import Registry, check_formats


def test_a_schema_is_asked_for_once(server, registry):
    number = server.add('"string"')
    assert registry.schema(number).text == '"string"'
    assert registry.schema(number).kind == "AVRO"
    assert server.asked == [f"GET /schemas/ids/{number}"]


def test_an_unknown_id_is_the_records_fault_and_asked_for_once(server, registry):
    for _ in range(2):
        with pytest.raises(DecodeError) as raised:
            registry.schema(77)
        assert raised.value.reason == "unknown-schema"
    assert len(server.asked) == 1


def test_a_registry_that_is_away_is_waited_for(server, registry):
    number = server.add('"string"')
    server.away = 3
    assert registry.schema(number).text == '"string"'
    assert len(server.asked) == 4


def test_an_answer_that_is_cut_off_is_asked_for_again(server, registry):
    number = server.add('"string"')
    server.cut = 2
    assert registry.schema(number).text == '"string"'
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_lets_nobody_read_costs_no_record(server, registry, status):
    server.refuses = status
    for asked in (lambda: registry.schema(1), lambda: registry.version("s", 1)):
        with pytest.raises(
            BrokerError, match=rf"refuses .*{status}.*schema_registry\.user"
        ) as raised:
            asked()
        assert not raised.value.retriable


def test_a_version_that_is_not_there_is_the_records_fault(server, registry):
    server.refuses = 404
    with pytest.raises(DecodeError) as raised:
        registry.version("s", 1)
    assert raised.value.reason == "unknown-schema"


def test_an_id_that_was_unknown_is_asked_for_again_after_a_while(server, registry, monkeypatch):
    with pytest.raises(DecodeError):
        registry.schema(1)
    server.add('"string"')  # a replica that lagged behind
    with pytest.raises(DecodeError):
        registry.schema(1)
    now = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert registry.schema(1).text == '"string"'


def test_waiting_ends_when_the_process_does(server):
    server.away = 9
    leaving = Registry(RegistrySettings(url=server.url), lambda: True, lambda _: None)
    with pytest.raises(BrokerError, match="does not answer: 503"):
        leaving.schema(1)


def test_patience_is_for_each_question(server):
    server.away = 9
    hurried = Registry(RegistrySettings(url=server.url), sleep=lambda _: None, patience=-1)
    for asked in (1, 2):
        with pytest.raises(BrokerError, match="does not answer: 503"):
            hurried.schema(1)
        assert len(server.asked) == asked


def test_a_schema_that_may_not_be_registered_must_be_there(server):
    settings = RegistrySettings(url=server.url, register_schemas=False)
    with pytest.raises(ConfigError, match=r"schema of t-value.*register_schemas"):
        Registry(settings).register("t-value", "JSON", "{}")
    number = server.add("{}", "JSON", "t-value")
    assert Registry(settings).register("t-value", "JSON", "{}") == number


def test_whoever_asks_proves_who_it_is(server):
    hidden = "hush"
    settings = RegistrySettings(url=server.url, username="me", password=hidden)
    Registry(settings).register("t-value", "AVRO", '"string"')
    assert server.proofs == [f"Basic {base64.b64encode(b'me:hush').decode()}"]
    assert hidden not in repr(settings)


def test_without_an_address_it_is_said_where_to_give_it_before_anything_is_read():
    check_formats(("text", "cloudevents"), RegistrySettings())
    for forms in (("avro", "json"), ("text", "protobuf"), ("json", "json-schema")):
        with pytest.raises(ConfigError, match="STREAMER_SCHEMA_REGISTRY__URL"):
            check_formats(forms, RegistrySettings())
