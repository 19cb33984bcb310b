"""What log lines tell of a record's trace."""

import pytest

from streamer.records import parent_ids

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_producers_ids_are_in_its_header():
    headers = (("other", b"x"), ("traceparent", f"00-{TRACE}-{SPAN}-01".encode()))
    assert parent_ids(headers) == {"trace_id": TRACE, "span_id": SPAN}


@pytest.mark.parametrize(
    "value", [None, b"", b"00-short-b7ad6b7169203331-01", b"\xff", f"00-{TRACE}-{SPAN}".encode()]
)
def test_what_is_no_header_of_a_trace_tells_nothing(value):
    assert parent_ids((("traceparent", value),)) == {}
