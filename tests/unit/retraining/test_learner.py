"""Learning from labels, and what the gate makes of bad ones."""

import random

import numpy as np
import pytest
from support import learning, tiny
from support.labelling import filled

from streamer.errors import ConfigError
from streamer.models.version import load_version
from streamer.retraining.calibration import best_threshold
from streamer.retraining.config import Gate, Replay, Split, Strategy
from streamer.retraining.fitting import Known, fit_head, fit_temperature
from streamer.retraining.gate import judge
from streamer.retraining.hidden import fit_mlp
from streamer.retraining.learner import Learner, TooLittleError
from streamer.retraining.lesson import cut
from streamer.retraining.linear import Linear
from streamer.retraining.losses import nll
from streamer.retraining.place import Place
from streamer.retraining.runner import OutOfTimeError
from streamer.retraining.store import Store
from streamer.retraining.trial import tried

GATE = Gate(min_gain=0.02, max_latency_ratio=1e9)


@pytest.fixture
def store(tmp_path):
    return Store(Place(str(tmp_path / "set")))


@pytest.fixture
def champion(tmp_path):
    folder = learning.model(tmp_path / "models", "m", known=0.5)
    return load_version(str(folder), beside=folder, models_dir=folder)


def messages(count: int, labels=learning.LABELS, seed: int = 0):
    draw = random.Random(seed)
    return [(learning.message(one, draw), one) for one in draw.choices(labels, k=count)]


def lesson_of(store, labelled, champion):
    known = [champion.manifest.id2label[at] for at in range(len(champion.manifest.id2label))]
    return cut(store, labelled.examples(), known, Replay(), seed=0, since=0)


def gone_through(store, labelled, champion, folder, strategy=None):
    lesson = lesson_of(store, labelled, champion)
    learner = Learner(strategy or Strategy(kind="head"), 1)
    challenger = learner.learn(lesson, champion, folder, lambda: None)
    part = lesson.sides["test"]
    trial = tried(champion, challenger.version, part, GATE, threads=1, beside=folder)
    verdict = judge(trial.compared, GATE, 1).unless(trial.problems)
    return lesson, challenger, verdict


def test_a_head_is_learnt_written_as_onnx_and_passes(store, champion, tmp_path):
    labelled = filled(store, messages(900))
    lesson, challenger, verdict = gone_through(store, labelled, champion, tmp_path / "new")
    assert verdict.decision == "promote", verdict
    assert verdict.figures["challenger"] > verdict.figures["champion"] + 0.1
    assert challenger.parity < 1e-4
    assert challenger.version.manifest.id2label == champion.manifest.id2label
    assert lesson.across == 0


def test_the_same_lesson_gives_the_same_file(store, champion, tmp_path):
    labelled = filled(store, messages(300))
    files = [
        gone_through(store, labelled, champion, tmp_path / name)[1].version.file.read_bytes()
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


def test_two_new_classes_are_learnt_and_the_old_ones_are_not_forgotten(store, tmp_path):
    folder = learning.model(tmp_path / "models", "m", known=1.0)
    champion = load_version(str(folder), beside=folder, models_dir=folder)
    labelled = filled(store, messages(900, (*learning.LABELS, *learning.NEW_LABELS)))
    lesson, challenger, verdict = gone_through(store, labelled, champion, tmp_path / "new")
    assert lesson.labels == (*learning.LABELS, *sorted(learning.NEW_LABELS))
    assert list(challenger.version.manifest.id2label.values()) == list(lesson.labels)
    assert verdict.decision == "promote", verdict
    old = verdict.figures["old_classes"]
    assert old["challenger"] > old["champion"] - 0.02
    for label in learning.NEW_LABELS:
        assert verdict.figures["classes"][label]["challenger"] > 0.8


def test_labels_of_new_classes_alone_are_not_promoted_since_the_old_ones_may_be_forgotten(
    store, tmp_path
):
    folder = learning.model(tmp_path / "models", "m", known=1.0)
    champion = load_version(str(folder), beside=folder, models_dir=folder)
    labelled = filled(store, messages(400, learning.NEW_LABELS))
    _, _, verdict = gone_through(store, labelled, champion, tmp_path / "new")
    assert verdict.figures["gain"] > 0.5
    assert verdict.decision == "inconclusive"
    assert "nothing shows that these are not forgotten" in verdict.reasons[0]


def test_labels_that_are_wrong_in_three_of_ten_pass_only_if_the_version_is_better_still(
    store, tmp_path
):
    folder = learning.model(tmp_path / "models", "m", known=1.0)
    champion = load_version(str(folder), beside=folder, models_dir=folder)
    draw = random.Random(1)
    noisy = [
        (text, draw.choice(learning.LABELS) if draw.random() < 0.4 else label)
        for text, label in messages(900)
    ]
    _, _, verdict = gone_through(store, filled(store, noisy), champion, tmp_path / "new")
    assert verdict.decision != "promote", verdict
    assert verdict.reasons


def test_labels_all_of_one_class_teach_nothing(store, champion, tmp_path):
    labelled = filled(store, messages(300, ("refund",)))
    with pytest.raises(TooLittleError, match="all of one label: refund"):
        gone_through(store, labelled, champion, tmp_path / "new")


def test_labels_that_make_it_worse_are_rejected_for_the_classes_that_suffer(store, tmp_path):
    folder = learning.model(tmp_path / "models", "m", known=1.0)
    champion = load_version(str(folder), beside=folder, models_dir=folder)
    turned = dict(zip(learning.LABELS, learning.LABELS[1:] + learning.LABELS[:1], strict=True))
    # People label the training side's groups wrongly, the held-out side's rightly.
    from streamer.retraining.examples import digest_of, side_of

    def told(text, label):
        side = side_of(f"sha:{digest_of(text.encode())}", Split().validation, Split().test)
        return text, (label if side == "test" else turned[label])

    labelled = filled(store, [told(*one) for one in messages(900)])
    _, _, verdict = gone_through(store, labelled, champion, tmp_path / "new")
    assert verdict.decision == "reject"
    assert any("falls from" in reason for reason in verdict.reasons)


def test_a_flood_of_duplicates_leaves_too_few_to_tell(store, champion, tmp_path):
    few = messages(60)
    labelled = filled(store, [few[at % len(few)] for at in range(3000)])
    _, _, verdict = gone_through(store, labelled, champion, tmp_path / "new")
    assert verdict.decision == "inconclusive"
    assert "too few held-out labels" in verdict.reasons[0]


def test_calibration_changes_probabilities_and_no_answer(store, champion, tmp_path):
    labelled = filled(store, messages(600))
    strategy = Strategy(kind="calibrate")
    _, challenger, verdict = gone_through(store, labelled, champion, tmp_path / "new", strategy)
    assert verdict.figures["challenger"] == verdict.figures["champion"]
    [told] = challenger.tried
    assert told["temperature"] != pytest.approx(1.0, abs=0.05)


def test_calibration_leaves_out_labels_that_are_new(store, champion, tmp_path):
    labelled = filled(store, messages(300, (*learning.LABELS, *learning.NEW_LABELS)))
    strategy = Strategy(kind="calibrate")
    lesson, challenger, _ = gone_through(store, labelled, champion, tmp_path / "new", strategy)
    assert set(learning.NEW_LABELS) < set(lesson.labels)
    assert challenger.version.manifest.id2label == champion.manifest.id2label


def test_a_run_that_takes_too_long_is_ended_within(store, champion, tmp_path):
    labelled = filled(store, messages(300))
    lesson = lesson_of(store, labelled, champion)

    def check():
        raise OutOfTimeError("not done in time")

    with pytest.raises(OutOfTimeError):
        Learner(Strategy(kind="head"), 1).learn(lesson, champion, tmp_path / "new", check)


@pytest.mark.parametrize("kind", ["finetune", "from-scratch", "embedding"])
def test_what_needs_trainable_weights_is_refused_before_anything_is_read(champion, kind):
    with pytest.raises(ConfigError, match="is needed, and m 1 has none"):
        Learner(Strategy(kind=kind), 1).check(champion)


def test_calibration_of_a_version_for_another_task_is_refused(tmp_path):
    folder = tiny.pair_model(tmp_path)
    version = load_version(str(folder), beside=folder, models_dir=folder)
    with pytest.raises(ConfigError, match="is for sentence-similarity"):
        Learner(Strategy(kind="calibrate"), 1).check(version)


def test_classes_without_examples_keep_the_weights_that_they_had():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    targets = (features[:, 0] > 0).astype(np.int64)
    prior = Linear(rng.normal(size=(3, 5)), np.array([0.0, 0.0, -8.0]))
    known = Known(features, targets, np.ones(200))
    head = fit_head(known, known, 3, prior).head
    moved = np.abs(head.weights - prior.weights).max(axis=1)
    assert moved[2] < 0.25 * max(moved[:2])
    assert (head.logits(features)[:, :2].argmax(axis=1) == targets).mean() > 0.95


def test_a_head_learns_from_the_examples_that_chose_its_penalty_too():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8))
    targets = (features[:, 0] + 0.3 * rng.normal(size=60) > 0).astype(np.int64)
    sides = [Known(features[at], targets[at], np.ones(30)) for at in np.split(np.arange(60), 2)]
    fitted = fit_head(*sides, 2, None)
    found = nll(fitted.head.logits(sides[1].features), sides[1].targets)
    assert found < 0.9 * min(one["validation"] for one in fitted.tried)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_head_with_a_hidden_layer_learns_from_them_too(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 8))
    targets = (features[:, 0] * features[:, 1] + 0.3 * rng.normal(size=60) > 0).astype(np.int64)
    sides = [Known(features[at], targets[at], np.ones(30)) for at in np.split(np.arange(60), 2)]
    fitted = fit_mlp(*sides, 2, width=8, prior=None, seed=0)
    found = nll(fitted.head.logits(sides[1].features), sides[1].targets)
    assert found < 0.9 * min(one["validation"] for one in fitted.tried)


def test_the_score_from_which_labels_are_answered_is_the_best_one():
    rng = np.random.default_rng(0)
    held = rng.random((400, 5)) < 0.15
    chances = np.clip(0.2 * held + 0.25 * rng.random((400, 5)), 0, 1)
    given = best_threshold(chances, held)

    def f1(bar):
        answered = chances >= bar
        return 2 * (answered & held).sum() / (answered.sum() + held.sum())

    assert f1(given) >= max(f1(bar) for bar in np.linspace(0, 0.5, 501)) - 1e-12
    assert f1(given) > f1(0.5) + 0.3


def test_the_temperature_of_overconfident_scores_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(3, p=row) for row in chances])
    assert fit_temperature(logits * 3, targets) == pytest.approx(3.0, rel=0.1)
