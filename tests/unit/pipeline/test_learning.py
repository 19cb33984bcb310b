"""What is learnt of a model when it is loaded; which figures come out decides no test."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from support import tiny

import streamer
from streamer.batch import BatchBounds, Learnt, planned
from streamer.config.topology import ModelRef, TaskOptions
from streamer.models import load_version
from streamer.pipeline import learning
from streamer.pipeline.learning import keep_plan
from streamer.pipeline.loaded import ModelVersion, open_sessions
from streamer.records import Text

SPINNING = "session.intra_op.allow_spinning"
SENTENCES = Path(streamer.__file__).parent / "demo/models/sentences/1"
KNOWN = Learnt(items=100, cost=3200, overhead=7)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(learning, "user_cache_path", lambda _name: folder)
    monkeypatch.setattr(learning, "_KEPT_ABOVE_S", 0.0)
    return folder / "plans"


def version_of(folder):
    return load_version(
        str(folder),
        beside=folder,
        models_dir=folder,
        task=None,
        registry=None,
        options=TaskOptions(),
        cache=None,
    )


def opened(folder, **options):
    return ModelVersion(
        version_of(folder), ModelRef(uri=str(folder), device="cpu", sessions=1, **options)
    )


def loaded(folder, **options):
    model = opened(folder, **options)
    model.close()
    return model


def test_what_was_learnt_is_kept_and_taken_the_next_time(tmp_path, cache):
    folder = tiny.text_model(tmp_path)
    first = loaded(folder)
    [file] = cache.iterdir()
    assert Learnt(**json.loads(file.read_text())) == first.learnt
    file.write_text(json.dumps(asdict(KNOWN)))
    again = loaded(folder)
    assert again.learnt == KNOWN
    assert (again.bounds.items, again.bounds.cost, again.bounds.overhead) == (100, 6400, 8)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\x00",
        b'{"items": null, "cost": "9", "overhead": 1}',
        b'{"items": 9}',
    ],
)
def test_a_plan_that_cannot_be_read_is_learnt_again(tmp_path, cache, damaged):
    folder = tiny.text_model(tmp_path)
    loaded(folder)
    [file] = cache.iterdir()
    file.write_bytes(damaged)
    assert loaded(folder).learnt is not None
    assert json.loads(file.read_text())["items"] >= 1


def test_of_pictures_a_batch_holds_a_few_whatever_their_size(tmp_path, cache):
    """A machine that was busy while they were tried leaves `items: 1` behind, for good."""
    folder = tiny.picture_model(tmp_path)
    loaded(folder)
    [file] = cache.iterdir()
    for pixels in (8 * 8, 320 * 320):
        file.write_text(json.dumps(asdict(Learnt(items=1, cost=pixels, overhead=0))))
        bounds = loaded(folder).bounds
        assert (bounds.items, bounds.cost) == (4, 4 * pixels)
    file.write_text(json.dumps(asdict(Learnt(items=1, cost=4000 * 4000, overhead=0))))
    assert loaded(folder).bounds.cost < 4000 * 4000  # too large for memory


def test_what_the_topology_says_goes_before_what_was_learnt(tmp_path, cache):
    folder = tiny.text_model(tmp_path)
    model = loaded(folder, batch={"max_size": 3, "max_cost": 50})
    assert (model.bounds.items, model.bounds.cost) == (3, 50)


def test_another_way_to_run_it_has_a_plan_of_its_own(tmp_path, cache):
    folder = tiny.text_model(tmp_path)
    loaded(folder)
    loaded(folder, threads=1)
    assert len(list(cache.iterdir())) == 2


def test_nothing_is_learnt_of_a_model_that_runs_one_by_one(tmp_path, cache):
    folder = tiny.text_model(tmp_path, batch={"max_size": 1, "fixed": 1})
    model = loaded(folder)
    assert model.learnt is None
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, cache):
    cache.parent.write_text("a file stands where the folder would be")
    assert loaded(tiny.text_model(tmp_path)).learnt is not None


class Waiting:
    """A session that waits in each run, as one whose threads are in each other's way."""

    def __init__(self, session, seconds):
        self.session = session
        self.seconds = seconds

    def run(self, feeds):
        sleep(self.seconds)
        return self.session.run(feeds)

    def __getattr__(self, name):
        return getattr(self.session, name)


@pytest.mark.parametrize(("several", "alone", "sessions"), [(0.06, 0.01, 1), (0.012, 0.05, 2)])
def test_as_many_sessions_share_the_cores_as_are_fastest(tmp_path, cache, several, alone, sessions):
    folder = tiny.text_model(tmp_path)
    tried = []

    def opening(version, ref):
        count = 2 if ref.sessions == "auto" else ref.sessions
        tried.append(count)
        fixed = ref.model_copy(update={"sessions": count})
        wait = alone if count == 1 else several
        return [Waiting(session, wait) for session in open_sessions(version, fixed)]

    for _ in range(2):  # the second time by what was kept
        model = ModelVersion(version_of(folder), ModelRef(uri=str(folder), device="cpu"), opening)
        assert len(model.sessions) == sessions
        model.close()
    # the second 1: what takes over, or what is there for batches that come alone
    assert tried == [2, 1, 1, 2, 1]


def test_sessions_whose_threads_are_the_processs_are_not_tried_against_one(tmp_path, cache):
    """What the one sets would hold for the several that win."""
    tried = []

    def opening(version, ref):
        tried.append(ref.sessions)
        fixed = ref.model_copy(update={"sessions": 2})
        return [Waiting(session, 0.02) for session in open_sessions(version, fixed)]

    version = version_of(tiny.text_model(tmp_path))
    exported = replace(version, file=version.file.rename(version.file.with_suffix(".pt2")))

    def as_onnx(_version, ref):
        return opening(replace(version, file=link), ref)

    link = tmp_path / "link.onnx"
    link.symlink_to(exported.file)
    model = ModelVersion(exported, ModelRef(uri="x", device="cpu"), as_onnx)
    model.close()
    assert tried == ["auto"]


def test_a_file_that_is_removed_while_it_serves_stops_nothing(tmp_path, cache):
    model = opened(tiny.text_model(tmp_path))
    [file] = cache.iterdir()
    file.unlink()
    model.version.file.unlink()
    keep_plan(model.version, model._ref, model.sessions[0], KNOWN)
    assert not list(cache.iterdir())
    model.close()


def test_pictures_are_learnt_too(tmp_path, cache):
    model = loaded(tiny.picture_model(tmp_path))
    assert model.learnt is not None
    assert model.bounds.items == max(model.learnt.items, 4)


def test_batches_cut_by_padding_answer_as_texts_alone_do(cache):
    """Bit for bit where the model is found to do so (docs/models.md), else nearly."""
    model = opened(Path(streamer.__file__).parent / "demo" / "models" / "intents")
    assert model.probe.batch_invariant in ("exact", "1e-5")
    samples = [Text("where is my card " * (1 + number * 7 % 11)) for number in range(40)]
    given = [part for parts in model.preprocessor.prepare(samples) for part in parts]
    single = vectors(model, given, BatchBounds(1, 1))
    for bounds in (BatchBounds(64, 300, overhead=20), model.bounds):
        together = vectors(model, given, bounds)
        if model.probe.batch_invariant == "exact":
            assert np.array_equal(together, single)
        assert np.abs(together - single).max() <= 1e-5 * max(np.abs(single).max(), 1)
    model.close()


def vectors(model, given, bounds):
    """Give the logits of each input, in order, by batches as the line plans them."""
    found = [np.zeros(0)] * len(given)
    [name] = model.version.manifest.outputs
    for batch in planned(given, bounds):
        outputs = model.run(model.sessions[0], [given[at] for at in batch])
        for at, row in zip(batch, outputs[name], strict=True):
            found[at] = row
    return np.stack(found)


def threads_of(session):
    return session._session.get_session_options().intra_op_num_threads


def test_a_batch_that_comes_alone_is_run_by_all_cores_and_answered_alike(cache, monkeypatch):
    monkeypatch.setattr("streamer.pipeline.loaded.usable_cores", lambda: 3)
    model = ModelVersion(version_of(SENTENCES), ModelRef(uri=str(SENTENCES), device="cpu"))
    assert [threads_of(session) for session in model.sessions] == [1, 1, 1]
    assert model.submit(threads_of).result() == 3
    generator = np.random.default_rng(5)
    for shape in ((1, 7), (5, 64), (16, 40)):
        ids = generator.integers(1, 60, shape)
        feeds = {
            name: np.ones_like(ids) if "mask" in name else ids * ("type" not in name)
            for name in model.sessions[0].inputs
        }
        narrow = model.sessions[0].run(feeds)
        wide = model.submit(lambda session, feeds=feeds: session.run(feeds)).result()
        assert all(np.array_equal(wide[name], narrow[name]) for name in wide)
    model.close()


@pytest.mark.parametrize(("given", "awake"), [({}, "1"), ({SPINNING: "0"}, "0")])
def test_what_comes_alone_is_run_by_threads_that_wait_awake_unless_it_is_set(
    cache, monkeypatch, given, awake
):
    monkeypatch.setattr("streamer.pipeline.loaded.usable_cores", lambda: 2)
    ref = ModelRef(uri=str(SENTENCES), device="cpu", session_options=given)
    model = ModelVersion(version_of(SENTENCES), ref)
    found = model.submit(lambda session: session._session.get_session_options()).result()
    assert found.get_session_config_entry(SPINNING) == awake
    model.close()


def test_sessions_and_threads_that_are_set_stay_as_they_are(cache, monkeypatch):
    monkeypatch.setattr("streamer.pipeline.loaded.usable_cores", lambda: 4)
    ref = ModelRef(uri=str(SENTENCES), device="cpu", sessions=2)
    model = ModelVersion(version_of(SENTENCES), ref)
    assert [threads_of(session) for session in model.sessions] == [2, 2]
    assert model.submit(threads_of).result() == 2
    model.close()
