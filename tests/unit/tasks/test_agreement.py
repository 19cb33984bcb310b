import pytest

from streamer.tasks.agreement import agreement


def labels(**scores):
    return [{"label": name, "score": score} for name, score in scores.items()]


def box(label, left, top=0, side=10, score=0.9):
    edges = {"xmin": left, "ymin": top, "xmax": left + side, "ymax": top + side}
    return {"label": label, "score": score, "box": edges}


def test_the_best_label_decides_and_the_shift_is_that_of_the_first_best():
    found = agreement(labels(cat=0.9, dog=0.1), labels(cat=0.6, dog=0.4))
    assert (found.same, found.told) == (True, "")
    assert found.shift == pytest.approx(-0.3)
    found = agreement(labels(cat=0.9, dog=0.1), labels(dog=0.7, cat=0.3))
    assert (found.same, found.told) == (False, "cat 0.90 → dog 0.70")
    assert found.shift == pytest.approx(-0.6)


def test_boxes_are_the_same_where_they_overlap_whatever_their_order():
    first = [box("stop", 0), box("yield", 50)]
    assert agreement(first, [box("yield", 51), box("stop", 1, score=0.8)]).same
    found = agreement(first, [box("stop", 8), box("yield", 50)])
    assert (found.same, found.told) == (False, "-1 stop, +1 stop")
    found = agreement(first, [box("priority", 0), box("yield", 50)])
    assert found.told == "stop 0.90 → priority 0.90"


def test_what_a_step_says_of_crops_is_compared_box_by_box():
    def crop(at, **scores):
        return {"item": 0, "box": box("", at)["box"], "output": labels(**scores)}

    same = agreement([crop(0, a=0.9), crop(50, b=0.9)], [crop(50, b=0.9), crop(0, a=0.7)])
    assert same.same
    assert same.shift == pytest.approx(-0.1)
    assert agreement([crop(0, a=0.9)], [crop(0, b=0.9)]).told == "a 0.90 → b 0.90"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"score": 0.8}, {"score": 0.82}, True),
        ({"score": 0.8}, {"score": 0.5}, False),
        ([], [], True),
        ([], labels(a=1.0), False),
        ([box("a", 0)], [], False),
        ([{"generated_text": "a cat"}], [{"generated_text": "a cat"}], True),
        ([{"generated_text": "a cat"}], [{"generated_text": "a dog"}], False),
        ([0.1, 0.2], [0.1, 0.2], True),
        ([0.1, 0.2], [0.1, 0.3], False),
    ],
)
def test_outputs_of_every_shape_are_compared(first, second, same):
    found = agreement(first, second)
    assert found.same is same
    assert bool(found.told) is not same


def test_entities_are_compared_by_kind_and_place():
    def entity(group, start, score=0.9):
        return {"entity_group": group, "score": score, "word": "Rome", "start": start, "end": 9}

    assert agreement([entity("LOC", 5)], [entity("LOC", 5, 0.7)]).shift == pytest.approx(-0.2)
    assert agreement([entity("LOC", 5)], [entity("PER", 5)]).told == "+PER Rome, -LOC Rome"
