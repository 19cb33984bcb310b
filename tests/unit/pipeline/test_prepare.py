import pytest
from support.items import at, record

from streamer.errors import DecodeError
from streamer.pipeline.prepare import Preparer
from streamer.records import Image, Item, Slice, Text, Wave


class Decoder:
    def decode(self, found):
        if found.value == b"bad":
            raise DecodeError("no text", reason="not-text")
        if found.value == b"worse":
            raise IndexError("a codec tripped")
        if found.value == b"picture":
            return Image("pixels")
        return Text(found.value.decode())


class Step:
    """A step that notes which samples it prepares."""

    def __init__(self, origin=None):
        self.origin = origin
        self.prepared = []

    def recalled(self, wave, item):
        return None

    def prepare(self, wave, items, samples):
        self.prepared.append(samples)
        for item, sample in zip(items, samples, strict=True):
            item.inputs[id(self)] = sample


def preparer(*steps, kind="text", tombstone="deadletter"):
    return Preparer(Decoder(), kind, steps, tombstone, 2)


def items_of(*values):
    return [Item(record(n, value=value)) for n, value in enumerate(values)]


def wave(items):
    return Wave(0, {at(0): Slice(1, len(items), tuple(items))}, 0, 0.0)


def test_samples_are_prepared_for_every_step_that_takes_the_record():
    first, second, on_crops = Step(), Step(), Step("detect")
    items = items_of(b"a", b"b")
    preparer(first, second, on_crops).prepare(wave(items), items)
    assert first.prepared == second.prepared == [[Text("a"), Text("b")]]
    assert on_crops.prepared == []
    assert [len(item.inputs) for item in items] == [2, 2]


@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        (b"bad", "not-text", "DecodeError"),
        (b"worse", "decode-failed", "IndexError"),
        (None, "null-value", "DecodeError"),
    ],
)
def test_a_value_that_cannot_be_decoded_takes_no_other_with_it(value, reason, error):
    step = Step()
    items = items_of(b"a", value, b"b")
    preparer(step).prepare(wave(items), items)
    rejection = items[1].rejection
    assert (rejection.stage, rejection.reason, rejection.error) == ("decode", reason, error)
    assert [item.alive for item in items] == [True, False, True]
    assert step.prepared == [[Text("a"), Text("b")]]


def test_a_tombstone_may_pass_or_be_dropped():
    [passed], [dropped] = items_of(None), items_of(None)
    preparer(Step(), tombstone="pass").prepare(wave([passed]), [passed])
    preparer(Step(), tombstone="drop").prepare(wave([dropped]), [dropped])
    assert (passed.tombstone, passed.dropped, passed.rejection) == (True, False, None)
    assert (dropped.tombstone, dropped.dropped, dropped.rejection) == (False, True, None)


def test_nothing_to_prepare_is_no_work_for_the_steps():
    step = Step()
    preparer(step).prepare(wave(items_of(b"bad", None)), items_of(b"bad", None))
    assert step.prepared == []


@pytest.mark.parametrize(("steps", "kept"), [([Step()], False), ([Step(), Step("detect")], True)])
def test_the_original_is_kept_only_for_a_step_that_cuts_from_it(steps, kept):
    items = items_of(b"picture", b"text")
    preparer(*steps, kind="image").prepare(wave(items), items)
    assert (items[0].image is not None) is kept
    assert items[1].image is None


@pytest.mark.parametrize("kind", ["image", "text", "pair"])
def test_chunks_in_a_pool_do_what_the_plain_form_does(kind):
    values = [b"%d" % n if n % 7 else b"bad" for n in range(300)]
    pooled, plain = items_of(*values), items_of(*values)
    made = preparer(Step(), kind=kind)
    assert made.threads == 2
    one = wave(pooled)
    assert made.finish(made.begin(one)) is one
    list(preparer(Step(), kind=kind).prepared([wave(plain)]))
    assert [item.rejection for item in pooled] == [item.rejection for item in plain]
    assert [list(i.inputs.values()) for i in pooled] == [list(i.inputs.values()) for i in plain]
    made.close()


def test_an_error_that_is_no_samples_own_ends_the_stage():
    broken = Step()
    broken.prepare = dict  # takes no three arguments
    made = preparer(broken)
    with pytest.raises(TypeError):
        made.finish(made.begin(wave(items_of(b"a"))))
    made.close()
