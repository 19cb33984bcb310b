"""Learning on weights: what comes of it, that it is the same each time, and that kills harm not."""

import random

import numpy as np
import pytest
from support import heads, lessons, trainable

from streamer.errors import ConfigError
from streamer.records import Text
from streamer.retraining.config import Gate, Strategy, Training
from streamer.retraining.gate import judge
from streamer.retraining.learner import Learner
from streamer.retraining.place import Place
from streamer.retraining.runner import OutOfTimeError
from streamer.retraining.trial import tried

pytestmark = pytest.mark.torch

GATE = Gate(min_gain=0.02, max_latency_ratio=1e9, max_size_ratio=10)
KINDS = ("red", "blue", "green")
WORDS = lessons.vocabulary((*KINDS, "plain"), 8)


def tried_out(
    lesson,
    champion,
    folder,
    *,
    kind="finetune",
    place=None,
    check=None,
    tells=lambda _: None,
    **training,
):
    given = {"epochs": 4, "learning_rate": 3e-3, "batch_size": 16, "flips": False, **training}
    strategy = Strategy(kind=kind, training=Training(**given))
    learner = Learner(strategy, 1, place=place, tells=tells)
    learner.check(champion)
    challenger = learner.learn(lesson, champion, folder, check or (lambda: None))
    trial = tried(
        champion, challenger.version, lesson.sides["test"], GATE, threads=1, beside=folder
    )
    return challenger, judge(trial.compared, GATE, 1).unless(trial.problems), trial


def of_pictures(shapes=lessons.SHAPES, known=lessons.SHAPES, count=240):
    parts = [lessons.pictures(n, shapes, seed) for seed, n in enumerate((count, 60, 120))]
    return lessons.lesson(*parts, known=known)


def of_texts(kinds=KINDS, known=KINDS):
    draw = random.Random(0)

    def told(count):
        found = []
        for _ in range(count):
            kind = draw.choice(kinds)
            words = [f"{kind}{draw.randrange(8)}", *(f"plain{draw.randrange(8)}" for _ in "1234")]
            draw.shuffle(words)
            found.append((Text(" ".join(words)), kind))
        return found

    return lessons.lesson(told(240), told(60), told(120), known)


def weights_of(version):
    return (version.folder / "trainable" / "model.safetensors").read_bytes()


def test_a_classifier_of_pictures_is_finetuned_exported_and_passes(tmp_path):
    champion = trainable.pictures(tmp_path / "shapes", lessons.SHAPES)
    challenger, verdict, _ = tried_out(of_pictures(), champion, tmp_path / "new", epochs=8)
    assert verdict.decision == "promote", verdict
    assert verdict.figures["challenger"] > 0.8
    assert challenger.parity < 1e-4
    assert (challenger.version.folder / "trainable" / "config.json").is_file()
    assert [one["epoch"] for one in challenger.tried] == list(range(1, len(challenger.tried) + 1))


def test_a_run_that_was_killed_goes_on_and_ends_as_if_nothing_had_happened(tmp_path):
    champion = trainable.pictures(tmp_path / "shapes", lessons.SHAPES)
    lesson = of_pictures(count=96)
    whole, _, _ = tried_out(lesson, champion, tmp_path / "whole", epochs=3)
    again, _, _ = tried_out(lesson, champion, tmp_path / "again", epochs=3)
    assert weights_of(again.version) == weights_of(whole.version)
    calls = 0

    def killed():
        nonlocal calls
        calls += 1
        if calls > 17:  # in the second epoch
            raise OutOfTimeError("killed")

    place = Place(str(tmp_path / "set"))
    with pytest.raises(OutOfTimeError):
        tried_out(lesson, champion, tmp_path / "half", place=place, check=killed, epochs=3)
    assert place.names("checkpoints")
    looks: list[int] = []
    shares: list[float] = []
    resumed, _, _ = tried_out(
        lesson,
        champion,
        tmp_path / "new",
        place=place,
        check=lambda: looks.append(1),
        tells=shares.append,
        epochs=3,
    )
    assert shares[:6] == pytest.approx([at / 18 for at in range(6, 12)])  # the second epoch of 3
    assert weights_of(resumed.version) == weights_of(whole.version)
    assert len(looks) < 30  # of 3 epochs with 6 batches and 4 of the validation side
    assert not place.names("checkpoints")


def test_a_new_label_grows_a_transformer_and_the_last_layers_alone_learn(tmp_path):
    from safetensors.numpy import load_file

    champion = trainable.bert(tmp_path / "bert", "text-classification", KINDS[:2], WORDS)
    lesson = of_texts(known=KINDS[:2])
    challenger, verdict, _ = tried_out(
        lesson, champion, tmp_path / "new", layers=2, epochs=6, learning_rate=1e-2
    )
    assert list(challenger.version.manifest.id2label.values()) == [*KINDS[:2], "green"]
    assert verdict.figures["challenger"] > 0.6, verdict
    before, after = (
        load_file(one.folder / "trainable" / "model.safetensors")
        for one in (champion, challenger.version)
    )
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert not any("embeddings" in name or "layer.0." in name for name in changed)
    assert after["classifier.weight"].shape[0] == 3


def test_a_network_is_learnt_from_scratch(tmp_path):
    champion = trainable.texts(tmp_path / "texts", KINDS, WORDS)
    challenger, verdict, _ = tried_out(
        of_texts(), champion, tmp_path / "new", kind="from-scratch", epochs=8
    )
    assert verdict.decision == "promote", verdict
    assert verdict.figures["challenger"] > 0.9
    assert challenger.parity < 1e-4


@pytest.mark.parametrize("pairs", ["cosine", "contrastive"])
def test_an_embedder_learns_the_scores_of_pairs(tmp_path, pairs):
    draw = random.Random(2)

    def told(count):
        return lessons.pairs(count, draw, each=8, telling=1, plain=2)

    embedding = {"last_hidden_state": {"decode": "embedding", "pooling": "mean"}}
    champion = trainable.bert(
        tmp_path / "pairs", "sentence-similarity", (), WORDS, outputs=embedding
    )
    lesson = lessons.lesson(told(200), told(50), told(150), (), "score")
    _, verdict, _ = tried_out(
        lesson, champion, tmp_path / "new", kind="embedding", pairs=pairs, epochs=8
    )
    assert verdict.figures["metric"] == "spearman"
    assert verdict.figures["gain"] > 0.2, verdict


def test_a_detector_learns_from_boxes(tmp_path):
    labels = ("disc", "square")
    champion = trainable.detector(tmp_path / "boxes", labels)
    parts = [lessons.scenes(count, seed) for seed, count in enumerate((160, 20, 60))]
    lesson = lessons.lesson(*parts, known=labels, form="boxes")
    challenger, verdict, _ = tried_out(lesson, champion, tmp_path / "new", epochs=10)
    assert verdict.figures["metric"] == "map50"
    assert verdict.figures["challenger"] > 0.25, verdict
    assert verdict.decision == "promote", verdict
    assert challenger.parity < 1e-4


def test_a_detector_of_transformers_learns_from_boxes_and_takes_a_new_label(tmp_path):
    from safetensors.numpy import load_file

    champion = trainable.yolos(tmp_path / "yolos", ("disc",))
    parts = [lessons.scenes(count, seed) for seed, count in enumerate((48, 8, 8))]
    lesson = lessons.lesson(*parts, known=("disc",), form="boxes")
    challenger, _, _ = tried_out(lesson, champion, tmp_path / "new", epochs=3, augment=False)
    assert list(challenger.version.manifest.id2label.values()) == ["disc", "square"]
    assert challenger.parity < 1e-4
    losses = [one["train"] for one in challenger.tried]
    assert losses[-1] < losses[0]
    weights = load_file(challenger.version.folder / "trainable" / "model.safetensors")
    rows = [w.shape[0] for n, w in weights.items() if "class_labels_classifier.layers.2" in n]
    assert rows == [3, 3]  # two labels, and what stands for nothing


def test_tokens_are_learnt_by_a_transformer(tmp_path):
    draw = random.Random(1)

    def told(count):
        return lessons.tagged(count, draw, (*KINDS[:2], "plain"), 8)

    known = ("O", "B-red", "I-red", "B-blue", "I-blue")
    champion = trainable.bert(tmp_path / "tags", "token-classification", known, WORDS)
    lesson = lessons.lesson(told(160), told(40), told(80), known, "entities")
    _, verdict, _ = tried_out(lesson, champion, tmp_path / "new", epochs=6)
    assert verdict.figures["metric"] == "f1"
    assert verdict.figures["challenger"] > 0.9, verdict


def test_what_the_strategy_is_not_for_is_refused(tmp_path):
    champion = trainable.texts(tmp_path / "texts", KINDS, WORDS)
    with pytest.raises(ConfigError, match="write finetune"):
        Learner(Strategy(kind="embedding"), 1).check(champion)
    bare = heads.picture_model(tmp_path / "bare", lessons.SHAPES)
    with pytest.raises(ConfigError, match="is needed, and bare 1 has none"):
        Learner(Strategy(kind="finetune"), 1).check(bare)
    gpu = Strategy(kind="finetune", training=Training(device="cuda:7"))
    with pytest.raises(ConfigError, match="Torch sees no GPU"):
        Learner(gpu, 1).learn(of_texts(), champion, tmp_path / "new", lambda: None)
