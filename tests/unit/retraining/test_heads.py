"""New heads on frozen versions, of every task that has one."""

import random

import numpy as np
import pytest
from support import heads, lessons

from streamer.errors import ConfigError
from streamer.graphs.head import find_head, find_hidden
from streamer.records import Pair, Text
from streamer.retraining.config import Gate, Strategy
from streamer.retraining.gate import judge
from streamer.retraining.learner import Learner, TooLittleError
from streamer.retraining.trial import tried

GATE = Gate(min_gain=0.02, max_latency_ratio=1e9, max_size_ratio=10)
KINDS = ("red", "blue", "plain")
WORDS = lessons.vocabulary(KINDS, 12)


def tried_out(lesson, champion, folder, strategy=None):
    strategy = strategy or Strategy(kind="head")
    challenger = Learner(strategy, 1).learn(lesson, champion, folder, lambda: None)
    trial = tried(
        champion, challenger.version, lesson.sides["test"], GATE, threads=1, beside=folder
    )
    return challenger, judge(trial.compared, GATE, 1).unless(trial.problems), trial


def of_pictures(known=lessons.SHAPES, shapes=lessons.SHAPES):
    parts = [lessons.pictures(count, shapes, seed) for seed, count in enumerate((400, 80, 240))]
    return lessons.lesson(*parts, known=known)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_on_a_frozen_classifier_of_pictures_is_learnt(tmp_path, head):
    champion = heads.picture_model(tmp_path / "shapes", lessons.SHAPES)
    strategy = Strategy(kind="head", head=head, hidden=24)
    challenger, verdict, _ = tried_out(of_pictures(), champion, tmp_path / "new", strategy)
    assert verdict.decision == "promote", verdict
    assert verdict.figures["challenger"] > 0.8
    assert challenger.parity < 1e-4


def test_new_labels_grow_the_head_of_a_classifier_of_pictures(tmp_path):
    old = lessons.SHAPES[:2]
    first = heads.picture_model(tmp_path / "shapes", old)
    champion, _, _ = tried_out(of_pictures(old, old), first, tmp_path / "first")
    lesson = of_pictures(old)
    grown, verdict, _ = tried_out(lesson, champion.version, tmp_path / "new")
    assert list(grown.version.manifest.id2label.values()) == [*old, "cross", "square"]
    assert verdict.decision == "promote", verdict
    assert verdict.figures["old_classes"]["challenger"] > 0.85


def test_a_head_with_a_hidden_layer_is_learnt_anew_where_it_begins_not_upon_itself(tmp_path):
    champion = heads.picture_model(tmp_path / "shapes", lessons.SHAPES)
    strategy = Strategy(kind="head", head="mlp", hidden=16)
    first, _, _ = tried_out(of_pictures(), champion, tmp_path / "first", strategy)
    second, _, _ = tried_out(of_pictures(), first.version, tmp_path / "second", strategy)
    assert second.tried[0]["towards"] == "champion"
    head = find_head(second.version.file, "logits")
    below = find_hidden(second.version.file, head)
    assert below.features == find_head(champion.file, "logits").features
    assert second.version.file.stat().st_size < first.version.file.stat().st_size + 500


@pytest.mark.parametrize("known", [("red", "blue"), ("red",)])
def test_a_multi_label_head_gives_each_label_a_probability_of_its_own(tmp_path, known):
    draw = random.Random(0)

    def told(count):
        found = []
        for _ in range(count):
            kinds = [kind for kind in ("red", "blue") if draw.random() < 0.5]
            words = [f"{kind}{draw.randrange(12)}" for kind in (*kinds, "plain", "plain")]
            draw.shuffle(words)
            found.append((Text(" ".join(words)), kinds))
        return found

    lesson = lessons.lesson(told(400), told(80), told(200), known, "labels")
    more = {"problem_type": "multi_label_classification"}
    champion = heads.words_model(tmp_path / "words", known, WORDS, **more)
    challenger, verdict, trial = tried_out(lesson, champion, tmp_path / "new")
    assert verdict.decision == "promote", verdict
    assert verdict.figures["metric"] == "f1"
    assert verdict.figures["challenger"] > 0.9
    assert challenger.parity < 1e-4
    assert {len(one) for one in trial.challenger.given} >= {0, 1, 2}
    assert set(challenger.version.manifest.id2label.values()) == {"red", "blue"}


def test_calibration_finds_from_where_several_labels_are_answered(tmp_path):
    draw = random.Random(0)

    def told(count):
        found = []
        for _ in range(count):
            kinds = [kind for kind in ("red", "blue") if draw.random() < 0.3]
            words = [f"{kind}{draw.randrange(12)}" for kind in (*kinds, "plain", "plain")]
            kept = [kind for kind in kinds if draw.random() < 0.8]
            found.append((Text(" ".join(words)), kept))
        return found

    known = ("red", "blue")
    more = {"problem_type": "multi_label_classification", "postprocess": {"threshold": 0.95}}
    first = heads.words_model(tmp_path / "words", known, WORDS, **more)
    lesson = lessons.lesson(told(300), told(120), told(200), known, "labels")
    champion, before, _ = tried_out(lesson, first, tmp_path / "champion")
    strategy = Strategy(kind="calibrate")
    told_before = Learner(strategy, 1).check(champion.version)
    assert "the lowest score that is answered" in told_before
    new, verdict, _ = tried_out(lesson, champion.version, tmp_path / "new", strategy)
    assert verdict.figures["gain"] > 0.02, (before, verdict)
    [found] = new.tried
    assert new.version.manifest.postprocess.threshold == pytest.approx(found["threshold"])
    assert 0 < found["threshold"] < 0.9
    assert new.parity < 1e-4


def test_rare_entities_weigh_more_where_the_file_says_so(tmp_path):
    draw = random.Random(1)

    def told(count):
        found = []
        for _ in range(count):
            word = f"red{draw.randrange(12)}"
            rest = f" plain{draw.randrange(12)} plain{draw.randrange(12)}"
            entities = [{"entity_group": "red", "start": 0, "end": len(word)}]
            found.append((Text(word + rest), entities if draw.random() < 0.25 else []))
        return found

    known = ("O", "B-red", "I-red")
    champion = heads.tag_model(tmp_path / "tags", known, WORDS)
    lesson = lessons.lesson(told(160), told(40), told(200), known, "entities")
    found = []
    for weight in ("none", "balanced"):
        strategy = Strategy(kind="head", class_weight=weight)
        _, verdict, _ = tried_out(lesson, champion, tmp_path / weight, strategy)
        found.append(verdict.figures["classes"]["red"]["challenger"])
    assert found[1] > found[0], found


@pytest.mark.parametrize("kind", ["head", "calibrate"])
def test_classes_that_cannot_be_weighed_are_refused(tmp_path, kind):
    more = {"problem_type": "multi_label_classification"}
    champion = heads.words_model(tmp_path / "words", ("red", "blue"), WORDS, **more)
    with pytest.raises(ConfigError, match="class_weight: balanced is for"):
        Learner(Strategy(kind=kind, class_weight="balanced"), 1).check(champion)


def test_a_head_on_each_token_learns_entities_and_a_new_kind_of_them(tmp_path):
    draw = random.Random(1)

    def told(count):
        return lessons.tagged(count, draw, KINDS, 12)

    known = ("O", "B-red", "I-red")
    champion = heads.tag_model(tmp_path / "tags", known, WORDS)
    lesson = lessons.lesson(told(200), told(40), told(120), known, "entities")
    assert lesson.labels == (*known, "B-blue", "I-blue")
    challenger, verdict, _ = tried_out(lesson, champion, tmp_path / "new")
    assert challenger.parity < 1e-4
    assert verdict.figures["challenger"] > 0.95, verdict
    assert verdict.figures["classes"]["blue"]["challenger"] > 0.95


def test_an_embedding_is_turned_so_that_cosines_are_like_the_scores(tmp_path):
    draw = random.Random(2)

    def told(count):
        return lessons.pairs(count, draw, each=12, telling=3, plain=1)

    champion = heads.sentence_model(tmp_path / "sentences", WORDS)
    lesson = lessons.lesson(told(300), told(60), told(200), (), "score")
    challenger, verdict, _ = tried_out(lesson, champion, tmp_path / "new")
    assert verdict.decision == "promote", verdict
    assert verdict.figures["metric"] == "spearman"
    assert verdict.figures["gain"] > 0.2
    assert challenger.parity < 1e-4
    assert challenger.tried[0]["validation"] > 0


def test_pairs_of_one_score_teach_nothing(tmp_path):
    champion = heads.sentence_model(tmp_path / "sentences", WORDS)
    same = [(Pair("red1 red2", f"blue{at % 12}"), 0.5) for at in range(40)]
    lesson = lessons.lesson(same, same[:5], same[:5], (), "score")
    with pytest.raises(TooLittleError, match="all of one score"):
        tried_out(lesson, champion, tmp_path / "new")


def test_a_head_of_a_detector_is_refused_with_what_can_be_had(tmp_path):
    champion = heads.picture_model(tmp_path / "shapes", lessons.SHAPES)
    boxes = {"logits": {"decode": "yolox"}}
    manifest = champion.manifest.model_copy(update={"task": "object-detection", "outputs": boxes})
    detector = type(champion)(champion.folder, manifest, champion.file)
    with pytest.raises(ConfigError, match="write finetune"):
        Learner(Strategy(kind="head"), 1).check(detector)


def test_rare_classes_weigh_more_where_the_file_says_so(tmp_path):
    shapes = ("disc",) * 9 + ("ring",)
    parts = [lessons.pictures(count, shapes, seed) for seed, count in enumerate((300, 60, 300))]
    champion = heads.picture_model(tmp_path / "shapes", ("disc", "ring"))
    lesson = lessons.lesson(*parts, known=("disc", "ring"))
    found = []
    for weight in ("none", "balanced"):
        strategy = Strategy(kind="head", class_weight=weight)
        _, verdict, _ = tried_out(lesson, champion, tmp_path / weight, strategy)
        found.append(verdict.figures["classes"]["ring"]["challenger"])
    assert found[1] >= found[0]
    assert np.isfinite(found).all()
