"""How weights are learnt: what of the network, how fast, how long, in which numbers."""

import random

import numpy as np
import pytest
from support import lessons, trainable

from streamer.errors import ModelError
from streamer.records import Text
from streamer.retraining.config import Strategy, Training
from streamer.retraining.learner import Learner
from streamer.retraining.tuning import Tuning
from streamer.retraining.tuning.batches import Examples
from streamer.retraining.tuning.networks import load_network

pytestmark = pytest.mark.torch

KINDS = ("red", "blue", "plain")
TAGS = ("O", "B-red", "I-red", "B-blue", "I-blue")
WORDS = lessons.vocabulary(KINDS, 8)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return trainable.pictures(tmp_path_factory.mktemp("shapes") / "shapes", lessons.SHAPES)


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tags") / "tags"
    return trainable.bert(folder, "token-classification", TAGS, WORDS)


def trained(lesson, champion, *, kind="finetune", class_weight="none", seed=0, **training):
    given = {"epochs": 4, "learning_rate": 3e-3, "flips": False, **training}
    strategy = Strategy(kind=kind, class_weight=class_weight, seed=seed, training=Training(**given))
    network, told = Tuning(strategy, 1, 0.5, None).trained(lesson, champion, lambda: None)
    return network.module.state_dict(), told, network


def share_answered(network, champion, lesson, form, label):
    """How much of what has a label is answered so."""
    import torch

    [output] = [tensor.name for tensor in network.graph.outputs]
    examples = Examples(champion, lesson, lesson.sides["test"], form)
    [feeds], right = examples.batch(range(len(examples)), None)
    with torch.no_grad():
        found = network(feeds)[output]
    wanted = lesson.labels.index(label)
    answered = found[:, : right.shape[1]].argmax(-1) if right.ndim > 1 else found.argmax(-1)
    return float((answered[right == wanted] == wanted).float().mean())


def of_pictures(shapes=lessons.SHAPES, known=lessons.SHAPES, count=128):
    parts = [lessons.pictures(n, shapes, seed) for seed, n in enumerate((count, 40, 120))]
    return lessons.lesson(*parts, known=known)


def of_tags(kinds=KINDS, known=TAGS, count=160):
    draw = random.Random(1)
    sides = (lessons.tagged(n, draw, kinds, 8) for n in (count, 40, 120))
    return lessons.lesson(*sides, known, "entities")


def moved(before, after, part):
    """How far the weights of a part have gone, as a share of their size."""
    names = [name for name in before if name.startswith(part) and before[name].ndim > 1]
    apart = sum(float((after[name] - before[name]).abs().sum()) for name in names)
    return apart / sum(float(before[name].abs().sum()) for name in names)


def test_what_sees_the_input_first_changes_least(shapes):
    from safetensors.torch import load_file

    before = load_file(shapes.folder / "trainable" / "model.safetensors")
    shares = []
    for decay in (1.0, 0.1):
        after, _, _ = trained(of_pictures(), shapes, layer_decay=decay, epochs=2)
        first, last = (moved(before, after, part) for part in ("layers.0", "layers.7"))
        shares.append(first / last)
    assert shares[1] < 0.05 * shares[0]


def test_the_epochs_end_once_the_validation_side_gets_worse_and_the_best_counts(shapes):
    names = lessons.SHAPES
    turned = dict(zip(names, (*names[1:], names[0]), strict=True))
    wrong = [(sample, turned[label]) for sample, label in lessons.pictures(40, names, 1)]
    sides = lessons.pictures(128, names, 0), wrong, lessons.pictures(40, names, 2)
    lesson = lessons.lesson(*sides, known=names)
    found, told, _ = trained(lesson, shapes, epochs=40, patience=2, augment=False)
    losses = [one["validation"] for one in told]
    assert len(losses) == int(np.argmin(losses)) + 3 < 40
    more, longer, _ = trained(lesson, shapes, epochs=40, patience=4, augment=False)
    assert len(longer) == len(losses) + 2
    assert all((found[name] == more[name]).all() for name in found)


def test_another_seed_gives_other_weights_and_the_same_one_the_same(shapes):
    first, same, other = (
        trained(of_pictures(), shapes, seed=seed, epochs=1)[0]["layers.7.weight"]
        for seed in (1, 1, 2)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_rare_classes_weigh_more_where_the_file_says_so(tmp_path):
    draw = random.Random(0)

    def told(count):  # nothing tells them apart, so that only how often they are seen counts
        rows = [Text(f"plain{draw.randrange(8)} plain{draw.randrange(8)}") for _ in range(count)]
        return [(row, "rare" if draw.random() < 0.15 else "usual") for row in rows]

    labels = ("rare", "usual")
    lesson = lessons.lesson(told(320), told(40), told(200), labels)
    champion = trainable.texts(tmp_path / "texts", labels, WORDS)
    found = {}
    for weight in ("none", "balanced"):
        _, _, network = trained(lesson, champion, class_weight=weight)
        found[weight] = share_answered(network, champion, lesson, "label", "rare")
    assert found["none"] < 0.1
    assert found["balanced"] > 0.2


def test_rare_entities_weigh_more_where_the_file_says_so(tags):
    lesson = of_tags(("red",) * 10 + ("plain",) * 9 + ("blue",))
    found = {}
    for weight in ("none", "balanced"):
        _, _, network = trained(lesson, tags, class_weight=weight, epochs=2)
        found[weight] = share_answered(network, tags, lesson, "entities", "B-blue")
    assert found["balanced"] > found["none"]


@pytest.mark.parametrize("kind", ["finetune", "from-scratch"])
def test_new_labels_grow_a_network_of_the_project(tmp_path, kind):
    known = lessons.SHAPES[:3]
    champion = trainable.pictures(tmp_path / "shapes", known)
    lesson = of_pictures(known=known, count=240)
    training = Training(epochs=8, learning_rate=3e-3, flips=False)
    learner = Learner(Strategy(kind=kind, training=training), 1)
    new = learner.learn(lesson, champion, tmp_path / "new", lambda: None)
    assert list(new.version.manifest.id2label.values()) == [*known, "cross"]
    assert new.parity < 1e-4
    after = load_network(new.version, lesson.labels, len(lesson.labels), fresh=False)
    after.module.eval()
    assert share_answered(after, champion, lesson, "label", "cross") > 0.5


def test_new_kinds_of_entities_grow_a_transformer(tmp_path):
    known = TAGS[:3]
    champion = trainable.bert(tmp_path / "tags", "token-classification", known, WORDS)
    lesson = of_tags(known=known)
    assert lesson.labels == TAGS
    _, _, network = trained(lesson, champion, epochs=6)
    assert share_answered(network, champion, lesson, "entities", "B-blue") > 0.9
    assert network.module.config.id2label[3] == "B-blue"


def test_what_does_not_fit_into_memory_is_told_with_what_can_be_done(shapes, tmp_path):
    import torch

    def check():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(ModelError, match=r"a smaller batch_size, .* Tried to allocate 2.00 GiB"):
        Learner(Strategy(kind="finetune"), 1).learn(of_pictures(), shapes, tmp_path / "new", check)


@pytest.mark.parametrize("made", ["pictures", "boxes", "tags", "pairs"])
def test_in_bfloat16_it_learns_and_its_weights_stay_float32(shapes, tags, tmp_path, made):
    import torch

    champion, lesson = _of(made, tmp_path, shapes, tags)
    found = {}
    for precision in ("float32", "bfloat16"):
        state, told, _ = trained(lesson, champion, precision=precision, patience=8, epochs=8)
        assert {one.dtype for one in state.values()} <= {torch.float32, torch.int64}
        found[precision] = [one["train"] for one in told]
    assert found["bfloat16"] != found["float32"]
    assert found["bfloat16"][-1] < 0.8 * found["bfloat16"][0]
    assert found["bfloat16"][-1] == pytest.approx(found["float32"][-1], rel=0.35, abs=0.05)


def test_what_is_computed_in_is_told_and_the_file_computes_it_in_float32(shapes, tmp_path):
    training = Training(epochs=1, precision="bfloat16")
    learner = Learner(Strategy(kind="finetune", training=training), 1)
    assert learner.check(shapes).endswith("on cpu in bfloat16")
    new = learner.learn(of_pictures(), shapes, tmp_path / "new", lambda: None)
    assert "on cpu in bfloat16" in new.text
    assert new.parity < 1e-4


def _of(made, folder, shapes, tags):
    if made == "pictures":
        return shapes, of_pictures()
    if made == "tags":
        return tags, of_tags(count=96)
    if made == "boxes":
        parts = [lessons.scenes(count, seed) for seed, count in enumerate((64, 8, 8))]
        labels = ("disc", "square")
        lesson = lessons.lesson(*parts, known=labels, form="boxes")
        return trainable.detector(folder / "boxes", labels), lesson
    draw = random.Random(2)
    sides = (lessons.pairs(n, draw, each=8, telling=1, plain=1) for n in (96, 24, 24))
    outputs = {"last_hidden_state": {"decode": "embedding", "pooling": "mean"}}
    champion = trainable.bert(folder / "pairs", "sentence-similarity", (), WORDS, outputs=outputs)
    return champion, lessons.lesson(*sides, (), "score")
