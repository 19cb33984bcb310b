import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config.units import (
    PlainNumber,
    parse_duration,
    parse_share,
    parse_size,
    written_duration,
    written_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5ms", 0.005), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("2d", 172800), ("250us", 0.00025)],
)
def test_durations_are_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 * 2**20), ("1GB", 10**9), ("1.5kB", 1500), (17, 17), ("17", 17), ("0", 0)],
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("wrong", ["5", "ms", "5 parsecs", "-5s", 5, True, False, None, [], "5MB"])
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(ValueError, match="write a number with its unit"):
        parse_duration(wrong)


def test_a_number_from_a_file_needs_its_unit_and_one_from_code_does_not():
    assert parse_duration(0.5) == 0.5
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(PlainNumber(0.5))


@pytest.mark.parametrize("wrong", ["5s", "-1MiB", -1, True, 1.5, None])
def test_what_is_no_size_is_refused(wrong):
    with pytest.raises(ValueError, match="write a number with its unit"):
        parse_size(wrong)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), (0.05, 0.05), ("1", 1.0), (0, 0.0)])
def test_shares_lie_between_nothing_and_all(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("wrong", ["x%", "150%", -0.1, True, None, "half", "nan"])
def test_what_is_no_share_is_refused(wrong):
    with pytest.raises(ValueError, match="share"):
        parse_share(wrong)


@given(st.integers(0, 10**15))
def test_a_written_size_is_read_back(size):
    assert parse_size(written_size(size)) == size


@given(st.integers(0, 10**9))
def test_a_written_duration_is_read_back(milliseconds):
    seconds = milliseconds / 1000
    assert parse_duration(written_duration(seconds)) == pytest.approx(seconds)
