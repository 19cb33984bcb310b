"""Copies of records outlive the records, within bounds."""

from streamer.records import Record
from streamer.retraining.capture import Captured
from streamer.retraining.config import Capture
from streamer.retraining.place import Place


def record(offset: int, value: bytes = b"v") -> Record:
    return Record("t", 1, offset, 77, b"k", value, (("h", b"1"), ("n", None)))


def source(offset: int, **more) -> dict:
    return {"topic": "t", "partition": 1, "offset": offset, **more}


def captured(tmp_path, **config) -> Captured:
    return Captured(Place(str(tmp_path)), Capture(**config)).open()


def test_a_copy_is_the_record_byte_for_byte_also_after_a_restart(tmp_path):
    first = captured(tmp_path)
    first.keep(record(3))
    assert first.find(source(3)) == record(3)
    first.flush()
    again = captured(tmp_path)
    assert ("t", 1, 3) in again
    assert again.find(source(3, timestamp=77)) == record(3)
    assert again.find(source(3, timestamp=78)) is None
    assert again.find(source(4)) is None


def test_what_is_too_much_goes_the_oldest_first(tmp_path):
    some = captured(tmp_path, max_size=3000)
    for offset in range(4):
        some.keep(record(offset, bytes(str(offset), "ascii") * 50))
        some.flush()
    some.tidy()
    left = [offset for offset in range(4) if some.find(source(offset)) is not None]
    assert left
    assert left == list(range(4))[-len(left) :]
    assert len(left) < 4


def test_what_is_too_old_goes(tmp_path):
    some = captured(tmp_path)
    some.keep(record(1))
    some.flush()
    [path] = some._sizes
    place = Place(str(tmp_path))
    place.write("capture/20200101/1.parquet", place.read(path))
    place.remove(path)
    again = captured(tmp_path)
    again.tidy()
    assert again.find(source(1)) is None
    assert place.names("capture/20200101") == []


def test_a_withdrawn_copy_goes_from_the_disk_and_is_not_made_again(tmp_path):
    some = captured(tmp_path)
    for offset in range(3):
        some.keep(record(offset, b"value %d" % offset))
    some.flush()
    some.keep(record(7))
    some.forget([("t", 1, 1), ("t", 1, 7), ("t", 1, 99)])
    again = captured(tmp_path)
    assert [again.find(source(offset)) for offset in (0, 1, 2)] == [
        record(0, b"value 0"),
        None,
        record(2, b"value 2"),
    ]
    assert some.find(source(7)) is None
    assert ("t", 1, 7) in some
