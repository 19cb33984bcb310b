import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.decode.uri import AllowList, Place
from streamer.errors import ConfigError, DecodeError

ALLOWED = AllowList(
    ("https://good.example/photos", "s3://bucket/in/", "http://host:8080", "file:///srv/photos")
)


@pytest.mark.parametrize(
    "uri",
    [
        "https://good.example/photos/1.jpg",
        "HTTPS://GOOD.example:443/photos/1.jpg?signature=a/../b",
        "https://good.example./photos",
        "https://good.example/photos/a%20b.jpg",
        "s3://bucket/in/2026/1.jpg",
        "http://host:8080/anything",
        "file:///srv/photos/1.jpg",
    ],
)
def test_what_begins_with_a_prefix_is_allowed(uri):
    ALLOWED.check(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "https://good.example/private/1.jpg",
        "https://good.example/photos-private/1.jpg",
        "https://good.example/photos/../private/1.jpg",
        "https://good.example/photos/%2e%2e/private/1.jpg",
        "https://good.example/photos/%252e%252e/private/1.jpg",
        "https://good.example/photos/..;/private",
        "https://good.example/photos/..%2fprivate",
        "https://good.example/photos/..\\private",
        "https://good.example/photos/..%5cprivate",
        "https://good.example@evil.example/photos/1.jpg",
        "https://good.example:pass@evil.example/photos/1.jpg",
        "https://good.example/photos@evil.example/../1.jpg",
        "https://good.example.evil.example/photos/1.jpg",
        "https://evil.example/https://good.example/photos/1.jpg",
        "https://evil.example#https://good.example/photos/1.jpg",
        "https://good.example\t.evil.example/photos",
        "https://good.example:444/photos/1.jpg",
        "https://good.example:99999/photos/1.jpg",
        "https:///photos/1.jpg",
        "//good.example/photos/1.jpg",
        "https:good.example/photos/1.jpg",
        "http://good.example/photos/1.jpg",
        "http://host/anything",
        "https://gооd.example/photos/1.jpg",  # noqa: RUF001 - Cyrillic
        "https://[good.example/photos",
        "s3://bucket/in/1.zip::file:///etc/passwd",
        "s3://bucket2/in/1.jpg",
        "file:///srv/photos/../../etc/passwd",
        "file://good.example/srv/photos/1.jpg",
        "file:/srv/photos/1.jpg",
        "/srv/photos/1.jpg",
        "data:image/png;base64,AAAA",
        "",
    ],
)
def test_what_only_looks_as_if_is_not_allowed(uri):
    with pytest.raises(DecodeError) as caught:
        ALLOWED.check(uri)
    assert caught.value.reason == "uri-not-allowed"


def test_nothing_is_allowed_by_an_empty_list():
    with pytest.raises(DecodeError, match=r"fetch\.allow is empty"):
        AllowList(()).check("https://good.example/photos/1.jpg")


def test_messages_keep_signatures_to_themselves():
    with pytest.raises(DecodeError) as caught:
        ALLOWED.check("https://evil.example/1.jpg?token=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "photos", "https://", "https:///x", "file://host/x", "a b"])
def test_a_prefix_that_names_no_place_is_a_configuration_error(prefix):
    with pytest.raises(ConfigError, match=r"source\.fetch\.allow"):
        AllowList((prefix,))


@given(uri=st.text(max_size=40) | st.text("htps:/.%2e@good", max_size=40))
def test_any_text_is_allowed_or_a_decode_error(uri, tried):
    outcome = tried(lambda: ALLOWED.check(uri))
    assert isinstance(outcome, Place) or outcome.reason == "uri-not-allowed"
