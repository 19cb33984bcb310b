import json

import pytest

from streamer.errors import DecodeError
from streamer.formats import enveloped, event_of, time_of

NEEDED = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"shop.message"),
)


@pytest.mark.parametrize("timestamp", [1_763_712_000_000_000, 2**62])
def test_a_timestamp_that_no_calendar_has_has_no_time(timestamp):
    assert time_of(timestamp) is None
    assert time_of(1_763_712_000_000) == "2025-11-21T08:00:00.000Z"


def test_in_binary_mode_the_value_is_the_data():
    event = event_of(b"\xff\xd8", (*NEEDED, ("content-type", b"image/jpeg")))
    assert (event.content, event.is_json) == (b"\xff\xd8", False)
    assert event_of(b"{}", NEEDED).is_json
    assert event_of(b"{}", (*NEEDED, ("Content-Type", b"application/x+json; charset=a"))).is_json


@pytest.mark.parametrize(
    ("more", "content", "is_json"),
    [
        ({"data": {"text": "a"}}, b'{"text":"a"}', True),
        ({"data": "plain", "datacontenttype": "text/plain"}, b"plain", False),
        ({"data_base64": "/9g=", "datacontenttype": "image/jpeg"}, b"\xff\xd8", False),
        ({"data": "a", "extension": {"x": 1}}, b'"a"', True),
    ],
)
def test_in_structured_mode_the_data_are_inside(more, content, is_json):
    envelope = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **more}
    value = json.dumps(envelope, separators=(",", ":")).encode()
    headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    event = event_of(value, headers)
    assert (event.content, event.is_json) == (content, is_json)


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"{}", (), "no-cloudevent"),
        (b"{}", NEEDED[1:], "no-cloudevent"),
        (b"{}", (("ce_specversion", b"0.3"), *NEEDED[1:]), "no-cloudevent"),
        (b"{", (("content-type", b"application/cloudevents+json"),), "no-cloudevent"),
        (b"{}", (("content-type", b"application/cloudevents+json"),), "no-cloudevent"),
        (
            b'{"specversion":"1.0","id":"1","source":"s","type":"t"}',
            (("content-type", b"application/cloudevents+json"),),
            "empty-value",
        ),
    ],
)
def test_what_is_no_event_is_a_dead_letter(value, headers, reason):
    with pytest.raises(DecodeError) as raised:
        event_of(value, headers)
    assert raised.value.reason == reason


@pytest.mark.parametrize("structured", [False, True])
def test_an_event_that_is_made_is_read_again(structured):
    attributes = {"id": "t/0/1", "source": "/streamer/x", "type": "p", "time": time_of(1)}
    value, headers = enveloped(b'{"a":1}', attributes, structured=structured)
    event = event_of(value, headers)
    assert (json.loads(event.content), event.is_json) == ({"a": 1}, True)
    if structured:
        assert json.loads(value)["id"] == "t/0/1"
        assert json.loads(value)["time"] == "1970-01-01T00:00:00.001Z"
    else:
        assert (value, dict(headers)["ce_id"]) == (b'{"a":1}', b"t/0/1")
