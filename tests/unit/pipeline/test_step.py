from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.items import at, record

from streamer.batch import BatchBounds
from streamer.config.topology import ModelRef, StepConfig
from streamer.deployments.rollout import KeySplit
from streamer.errors import ModelError, RecordError
from streamer.pipeline.model import Chosen, Model
from streamer.pipeline.step import Step
from streamer.records import Answer, Image, Item, ModelInput, Rejection, Slice, Wave


class Ceiling:
    def ran_out(self, cost):
        pass


class Doubler:
    """Doubles numbers; fails as a whole for any number that is in `poison`."""

    name = "doubler"

    def __init__(self, items=8, pool=None, version="7"):
        self.version_name = version
        self.reads = Interpreter()
        self.bounds = BatchBounds(items, 10**9)
        self.preprocessor = self
        self.ceiling = Ceiling()
        self.poison = set()
        self.error = RuntimeError("an operator failed")
        self.unprepared = set()
        self.ran = []
        self._pool = pool

    def prepare(self, samples):
        if any(sample in self.unprepared for sample in samples if isinstance(sample, int)):
            raise MemoryError("prepare")
        return [self._one(sample) for sample in samples]

    def _one(self, sample):
        if isinstance(sample, Image):
            return [ModelInput({"x": sample.pixels}, cost=1)]
        if sample < 0:
            return RecordError("negative", reason="negative")
        return [ModelInput({"x": np.array(sample)}, cost=1, length=sample)]

    def interpreter(self, task, threshold, top_k):
        return self.reads

    def submit(self, work):
        if self._pool is not None:
            return self._pool.submit(work, "session")
        future = Future()
        future.set_result(work("session"))
        return future

    def took(self, inputs, seconds):
        pass

    def run(self, session, inputs):
        numbers = [int(np.max(given.arrays["x"])) for given in inputs]
        self.ran.append(numbers)
        if self.poison & set(numbers):
            raise self.error
        return {"y": np.array([2 * number for number in numbers])}


class Interpreter:
    def __init__(self):
        self.poison = set()
        self.not_finite = set()
        self.uncombined = set()

    def interpret(self, outputs, inputs):
        found = outputs["y"].tolist()
        if self.poison & set(found):
            raise KeyError("interpret")
        return [
            RecordError("nan", reason="non-finite") if number in self.not_finite else number
            for number in found
        ]

    def combine(self, results):
        if self.uncombined & set(results):
            raise RecordError("combine", reason="too-many")
        return results[0] if len(results) == 1 else results


class Events:
    def __init__(self):
        self.batches = []

    def batch_ran(self, **event):
        self.batches.append(event)


@pytest.fixture
def model():
    return Doubler()


@pytest.fixture
def interpreter(model):
    return model.reads


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def step(model, events):
    return made(model, events)


def made(model, events=None, **config):
    config = StepConfig.model_validate({"model": "m", **config})
    slot = Model(ModelRef(uri="m"), model)
    return Step("double", config, "doubling", slot, events or Events())


def wave(step, items, chosen=None):
    entered = Wave(0, {at(0): Slice(1, len(items), tuple(items))}, 0, 0.0)
    entered.versions[step.model] = chosen or step.model.chosen_now
    return entered


def run(step, numbers):
    items = [Item(record(offset)) for offset in range(len(numbers))]
    one = wave(step, items)
    step.prepare(one, items, numbers)
    step.finish(step.begin(one))
    return items


def told(items):
    return [
        item.answers["double"].output if item.rejection is None else item.rejection.reason
        for item in items
    ]


def test_answers_come_back_to_their_items_whatever_order_the_batches_have(step, model, events):
    numbers = [3, 9, 1, 7, 5, 0, 2, 8, 6, 4]
    items = run(step, numbers)
    assert told(items) == [2 * number for number in numbers]
    assert model.ran == [[9, 8, 7, 6, 5, 4, 3, 2], [1, 0]]
    assert items[0].answers["double"] == Answer("doubling", "doubler", "7", 6)
    assert [(e["items"], e["reason"]) for e in events.batches] == [(8, "full"), (2, "wave")]


@given(st.lists(st.integers(0, 30), max_size=40), st.sets(st.integers(0, 30)), st.integers(1, 9))
def test_a_failing_batch_is_halved_until_its_culprits_are_alone(numbers, poison, size):
    model = Doubler(size)
    model.poison = poison
    items = run(made(model), numbers)
    assert told(items) == ["infer-failed" if n in poison else 2 * n for n in numbers]


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), ModelError("x"), ValueError("x"), MemoryError(), KeyError("x")]
)
def test_a_culprit_is_told_with_its_error_and_the_tries_it_had(step, model, error):
    model.poison, model.error = {5}, error
    items = run(step, [1, 5, 2, 3])
    assert items[1].rejection == Rejection(
        "infer", "double", "infer-failed", type(error).__name__, str(error), 3
    )


def test_results_that_cannot_be_read_are_told_apart_from_failing_runs(step, interpreter):
    interpreter.poison = {10}
    items = run(step, [1, 5, 2, 3])
    assert told(items) == [2, "postprocess-failed", 4, 6]
    assert (items[1].rejection.stage, items[1].rejection.error) == ("postprocess", "KeyError")


def test_numbers_that_are_none_harm_their_row_only(step, model, interpreter):
    interpreter.not_finite = {10}
    items = run(step, [1, 5, 2, 3])
    assert told(items) == [2, "non-finite", 4, 6]
    assert items[1].rejection.stage == "infer"
    assert len(model.ran) == 1


def test_what_cannot_be_combined_is_a_dead_letter(step, interpreter):
    interpreter.uncombined = {10}
    assert told(run(step, [1, 5])) == [2, "too-many"]


def test_samples_that_do_not_fit_the_model_are_rejected(step):
    items = run(step, [1, -1, 2])
    assert told(items) == [2, "negative", 4]
    assert items[1].rejection.stage == "preprocess"


def test_a_sample_that_the_preprocessor_trips_over_takes_no_other_with_it(step, model):
    model.unprepared = {5}
    items = run(step, [1, 5, 2])
    assert told(items) == [2, "preprocess-failed", 4]
    assert "MemoryError" in items[1].rejection.message


def test_rejected_items_dropped_ones_and_tombstones_pass_by(step, model):
    items = [Item(record(n)) for n in range(4)]
    one = wave(step, items)
    step.prepare(one, items, [0, 1, 2, 3])
    items[0].rejection = Rejection("decode", None, "x", "x", "x")
    items[1].dropped = True
    items[2].tombstone = True
    step.finish(step.begin(one))
    assert model.ran == [[3]]
    assert [item.answers.get("double") is not None for item in items] == [False] * 3 + [True]


def test_an_item_of_two_inputs_is_put_together_again(step, model):
    items = [Item(record(0)), Item(record(1))]
    for number, item in enumerate(items):
        item.inputs["double"] = [
            ModelInput({"x": np.array(n)}, cost=1, length=n) for n in (10 + number, number)
        ]
    step.finish(step.begin(wave(step, items)))
    assert told(items) == [[20, 0], [22, 2]]


def test_an_empty_wave_runs_nothing(step, model):
    assert step.finish(step.begin(wave(step, []))).items == []
    assert model.ran == []


def test_waves_in_a_row_are_answered_each_with_its_own():
    numbers = [[3, 1], [4], [], [1, 5, 9]]
    with ThreadPoolExecutor(3) as pool:
        step = made(Doubler(2, pool))
        waves = []
        for group in numbers:
            items = [Item(record(n)) for n in range(len(group))]
            waves.append(wave(step, items))
            step.prepare(waves[-1], items, group)
        begun = [step.begin(one) for one in waves]
        assert [told(step.finish(work).items) for work in begun] == [
            [2 * n for n in group] for group in numbers
        ]


def box(left, top, right, bottom):
    return {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}


def found(*boxes):
    item = Item(record(0))
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    item.image = Image(np.repeat(pixels, 3, axis=2))
    item.answers["detect"] = Answer("object-detection", "d", "1", [{"box": b} for b in boxes])
    return item


@pytest.fixture
def crops(model):
    return made(model, **{"from": "detect.crops", "max_crops": 3})


def test_crops_of_several_records_share_batches_and_go_back_to_their_record(crops, model):
    items = [found(box(0, 0, 2, 2), box(0, 0, 10, 10)), found(), found(box(3, 3, 4, 4))]
    crops.finish(crops.begin(wave(crops, items)))
    assert model.ran == [[11, 99, 33]]
    assert [item.answers["double"].output for item in items] == [
        [
            {"item": 0, "box": box(0, 0, 2, 2), "output": 22},
            {"item": 1, "box": box(0, 0, 10, 10), "output": 198},
        ],
        [],
        [{"item": 0, "box": box(3, 3, 4, 4), "output": 66}],
    ]


@pytest.mark.parametrize(
    ("given_box", "brightest"),
    [
        (box(5, 5, 5, 5), 55),
        (box(-3, -3, 1, 1), 0),
        (box(9, 9, 40, 40), 99),
        (box(30, 30, 40, 40), 99),
        (box(8, 8, 2, 2), 88),
    ],
)
def test_a_crop_has_at_least_one_pixel_of_the_picture(crops, model, given_box, brightest):
    crops.finish(crops.begin(wave(crops, [found(given_box)])))
    assert model.ran == [[brightest]]


def test_only_the_first_crops_are_answered(crops):
    item = found(*[box(n, 0, n + 1, 1) for n in range(5)])
    crops.finish(crops.begin(wave(crops, [item])))
    assert [entry["item"] for entry in item.answers["double"].output] == [0, 1, 2]


def test_one_bad_crop_makes_its_record_a_dead_letter_and_no_other(crops, model):
    model.poison = {33}
    items = [found(box(0, 0, 1, 1), box(3, 3, 4, 4)), found(box(1, 1, 2, 2))]
    crops.finish(crops.begin(wave(crops, items)))
    assert told(items)[0] == "infer-failed"
    assert items[1].answers["double"].output[0]["output"] == 22


def test_a_crop_that_cannot_be_combined_makes_its_record_a_dead_letter(crops, interpreter):
    interpreter.uncombined = {66}
    items = [found(box(3, 3, 4, 4)), found(box(1, 1, 2, 2))]
    crops.finish(crops.begin(wave(crops, items)))
    assert items[0].rejection.reason == "too-many"
    assert items[1].rejection is None


def test_each_item_is_answered_by_the_version_that_its_wave_chose_for_it(model, step, events):
    other = Doubler(version="8")
    chosen = Chosen(model, other, lambda record: record.offset % 3 == 0)
    items = [Item(record(offset)) for offset in range(7)]
    one = wave(step, items, chosen)
    step.prepare(one, items, range(10, 17))
    step.finish(step.begin(one))
    assert told(items) == [2 * number for number in range(10, 17)]
    versions = [item.answers["double"].version for item in items]
    assert versions == ["8", "7", "7", "8", "7", "7", "8"]
    assert (model.ran, other.ran) == ([[15, 14, 12, 11]], [[16, 13, 10]])
    assert sorted((e["model"].version_name, e["items"]) for e in events.batches) == [
        ("7", 4),
        ("8", 3),
    ]


def test_a_wave_keeps_its_version_whatever_is_in_service_by_then(model, step):
    items = [Item(record(0))]
    one = wave(step, items)
    step.model.chosen_now = Chosen(Doubler(version="8"))
    step.prepare(one, items, [3])
    step.finish(step.begin(one))
    assert items[0].answers["double"].version == "7"


def test_beside_a_candidate_equal_shares_are_batched_and_timed_apart(events):
    champion, candidate = Doubler(), Doubler(version="8")
    step = made(champion, events)
    split = KeySplit("doubler", "8", 0.25)
    items = [Item(record(offset, key=None)) for offset in range(400)]
    one = wave(step, items, Chosen(champion, candidate, split))
    step.prepare(one, items, list(range(400)))
    step.finish(step.begin(one))
    told = {False: 0, True: 0}
    for batch in events.batches:
        told[batch["timed"]] += batch["items"]
    records = [item.record for item in items]
    timed = sum(map(split.timed, records))
    assert told == {True: timed, False: 400 - timed}
    assert sum(len(batch) for batch in candidate.ran) == sum(map(split, records))
    assert sum(event["items"] for event in events.batches if event["model"] is champion) == (
        400 - sum(map(split, records))
    )


def test_without_a_candidate_nothing_is_timed_apart(step, events):
    run(step, range(20))
    assert not any(batch["timed"] for batch in events.batches)
