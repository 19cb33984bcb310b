import io
import json
import logging

import pytest
import structlog

from streamer.telemetry import configure
from streamer.telemetry.logs import _Repetitions


@pytest.fixture
def stream():
    yield io.StringIO()
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def test_json_is_an_object_a_line_with_what_was_bound(stream):
    configure("json", "INFO", stream)
    with structlog.contextvars.bound_contextvars(topology="street"):
        structlog.get_logger("publish").warning("refused", partition=3, offset=7, key=b"\xff")
    event = json.loads(stream.getvalue())
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "message": "refused",
        "level": "warning",
        "topology": "street",
        "partition": 3,
        "offset": 7,
        "key": "�",
    }


def test_console_lines_are_plain_where_nobody_looks_at_a_terminal(stream):
    configure("console", "INFO", stream)
    structlog.get_logger().info("reads", topology="street")
    assert "\x1b" not in stream.getvalue()
    assert "reads" in stream.getvalue()
    assert "topology=street" in stream.getvalue()


def test_below_the_level_nothing_is_logged(stream):
    configure("json", "WARNING", stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("streamer.broker").info("quiet")
    assert stream.getvalue() == ""


def test_the_standard_library_goes_the_same_way_and_clients_begin_at_warning(stream):
    configure("json", "INFO", stream)
    logging.getLogger("streamer.broker").info("waited %d s", 3)
    logging.getLogger("kafka.conn").info("chatter")
    logging.getLogger("kafka.conn").warning("gone")
    told = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert told == ["waited 3 s", "gone"]


def test_debug_lets_the_clients_speak(stream):
    configure("json", "DEBUG", stream)
    logging.getLogger("kafka.conn").debug("chatter")
    assert "chatter" in stream.getvalue()


def test_an_exception_is_told_in_both_forms(stream):
    for form in ("json", "console"):
        configure(form, "INFO", stream)
        try:
            int("broken")
        except ValueError:
            structlog.get_logger().exception("failed")
    assert stream.getvalue().count("broken") >= 2


def test_configured_twice_a_line_is_logged_once(stream):
    configure("json", "INFO", stream)
    configure("json", "INFO", stream)
    structlog.get_logger().info("once")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_is_named_like_a_secret_is_hidden(stream, form):
    configure(form, "INFO", stream)
    structlog.get_logger().info("connects", sasl_plain_password="hunter2")  # noqa: S106
    assert "hunter2" not in stream.getvalue()


def test_the_client_repeats_itself_only_now_and_then(stream):
    configure("json", "INFO", stream)
    for _ in range(5):
        logging.getLogger("kafka.cluster").error("Topic %s not found", "a")
        logging.getLogger("kafka.cluster").error("Topic %s not found", "b")
        logging.getLogger("streamer.pipeline").error("ours")
    told = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert told == ["Topic a not found", "Topic b not found", *["ours"] * 5]


def test_the_client_may_say_it_again_later():
    now = [0.0]
    quiet = _Repetitions(lambda: now[0])
    record = logging.LogRecord("kafka.x", logging.WARNING, "", 0, "gone", (), None)
    assert [quiet.filter(record), quiet.filter(record)] == [True, False]
    now[0] = 31.0
    assert quiet.filter(record)
