"""Tasks of texts as a topology asks for them: records in, answers out, functions for models."""

import numpy as np
import pytest
import yaml
from support.tiny import WORDS, text_model

from streamer.errors import ConfigError
from streamer.testing import TopologyTest

TENSORS = {"input_ids": "ids"}
GOOD, BAD, FINE = (WORDS.index(word) for word in ("good", "bad", "fine"))


@pytest.fixture
def asked(tmp_path):
    """Runs a topology of one step on texts; gives the answers."""

    def run(texts, function, step, **manifest):
        text = {"kind": "text", "tokenizer": "tokenizer.json", "tensors": TENSORS, "max_length": 16}
        text |= manifest.pop("text", {})
        folder = text_model(tmp_path, "m", inputs={"text": text}, **manifest)
        (folder / "words.csv").write_text("word,id\nthe,1\nfilm,17\n")
        topology = {
            "name": "asked",
            "source": {"topics": ["in"], "format": "text"},
            "models": {"m": {"uri": "m"}},
            "steps": {"ask": {"model": "m", **step}},
            "sink": {"topic": "out"},
        }
        file = tmp_path / "topology.yaml"
        file.write_text(yaml.safe_dump(topology))
        with TopologyTest(file, sessions={"m": function}) as test:
            for sent in texts:
                test.send("in", sent)
            assert test.deadletters() == []
            return [prediction.output() for prediction in test.predictions()]

    return run


def test_a_model_of_entailment_ranks_the_labels_that_the_step_names(asked):
    def entails(feeds):
        same = feeds["input_ids"][:, 0] == feeds["input_ids"][:, -1]
        return {"logits": np.stack([~same, same * 0, same], axis=1).astype(np.float32) * 5}

    answers = asked(
        ["good", "fine"],
        entails,
        {
            "task": "zero-shot-classification",
            "candidate_labels": ["bad", "good", "fine"],
            "hypothesis_template": "{}",
        },
        task="text-classification",
        id2label=["contradiction", "neutral", "entailment"],
        text={"pair": True},
    )
    assert [answer["labels"][0] for answer in answers] == ["good", "fine"]
    assert [len(answer["scores"]) for answer in answers] == [3, 3]
    assert sum(answers[0]["scores"]) == pytest.approx(1)


def test_entities_come_with_their_places_in_the_text(asked):
    def tagged(feeds):
        labels = np.isin(feeds["input_ids"], [GOOD, FINE]).astype(int)
        return {"logits": np.eye(2, dtype=np.float32)[labels] * 5}

    (answer,) = asked(
        ["bad good fine"],
        tagged,
        {"task": "token-classification", "aggregation_strategy": "none"},
        task="token-classification",
        id2label=["O", "B-X"],
    )
    places = [(one["entity"], one["word"], one["start"], one["end"]) for one in answer]
    assert places == [("B-X", "good", 4, 8), ("B-X", "fine", 9, 13)]


def test_a_model_of_similarity_gives_its_vectors_too(asked):
    def embedded(feeds):
        return {"logits": np.eye(len(WORDS), dtype=np.float32)[feeds["input_ids"]] * 3}

    (answer,) = asked(
        ["good bad"],
        embedded,
        {"task": "feature-extraction", "normalize": True},
        task="sentence-similarity",
        outputs={"logits": {"decode": "embedding", "pooling": "mean"}},
    )
    assert answer[GOOD] == answer[BAD] == pytest.approx(0.5**0.5)


def test_a_model_that_writes_is_told_its_limit_and_its_prefix(asked):
    told = []

    def echo(feeds):
        told.extend(feeds["max_new_tokens"].tolist())
        return {"sequences": feeds["input_ids"]}

    answers = asked(
        ["bad"],
        echo,
        {"task": "summarization", "prefix": "good ", "max_new_tokens": 7},
        task="text2text-generation",
        outputs={"sequences": {"decode": "tokens"}},
    )
    assert answers == [[{"summary_text": "good bad"}]]
    assert set(told) == {7}


def test_what_a_step_says_for_another_task_is_refused_by_its_key(asked):
    with pytest.raises(ConfigError, match=r"candidate_labels: is for zero-shot-classification"):
        asked(
            [],
            lambda feeds: feeds,
            {"task": "text-classification", "candidate_labels": ["a"]},
            task="text-classification",
        )


def test_a_network_that_reads_numbers_of_words_gets_600_of_them(asked):
    shapes = []

    def counted(feeds):
        shapes.append((feeds["Features"].shape[1], feeds["Features"].dtype))
        known = (feeds["Features"] > 0).sum(axis=1)
        return {"Prediction/Softmax": np.stack([known < 2, known >= 2], axis=1).astype(np.float32)}

    answers = asked(
        ["the film", "a film", "the the film"],
        counted,
        {"task": "text-classification", "top_k": 1},
        task="text-classification",
        id2label=["negative", "positive"],
        outputs={"Prediction/Softmax": {"decode": "probabilities"}},
        text={
            "tokenizer": "words.csv",
            "max_length": 600,
            "padding": "max_length",
            "dtype": "int32",
            "tensors": {"Features": "ids"},
        },
    )
    assert [answer[0]["label"] for answer in answers] == ["positive", "negative", "positive"]
    assert set(shapes) == {(600, np.dtype("int32"))}
