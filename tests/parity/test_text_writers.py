"""Models that write texts against transformers' own `generate`: same weights, same tokens."""

import io
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from parity.asked import Asked
from parity.made_tokenizers import HELD_BACK, SENTENCES
from parity.made_writers import (
    NEW_TOKENS,
    WRITERS,
    Written,
    alone,
    captioner,
    forced,
    written,
)
from parity.text_cases import CAPTIONERS, WRITING
from PIL import Image as Pillow

from streamer.models import load_version
from streamer.records import Image, ModelInput, Text

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
TEXTS = (*SENTENCES, *HELD_BACK)
KEYS = {"translation": "translation_text", "summarization": "summary_text"}
NOT_RUN = "not run over ONNX"


@pytest.fixture
def ask() -> Any:
    """Opens models; they are closed at the end."""
    opened: list[Asked] = []

    def opener(folder: Path, task: str, **options: Any) -> Asked:
        opened.append(Asked(folder, task, max_new_tokens=NEW_TOKENS, **options))
        return opened[-1]

    yield opener
    for asked in opened:
        asked.close()


def rows(asked: Asked, samples: Any) -> list[list[int]]:
    """Let a session write for all samples in one batch: what it gives, token by token."""
    prepared = asked.version.preprocessor.prepare(samples)
    inputs: list[ModelInput] = [one for parts in prepared for one in parts]
    outputs = asked.session.run(asked.version.preprocessor.collate(inputs))
    return outputs["sequences"].tolist()


def check_rows(came: list[list[int]], expected: Any, padding: int) -> None:
    """Compare tokens; behind the end of an answer stands padding, before it what begins it."""
    for row, ids in zip(came, expected, strict=True):
        begins = [at for at in (1, 0) if row[at : at + len(ids)] == ids]
        assert begins, (row, ids)
        assert set(row[begins[0] + len(ids) :]) <= {padding}


@pytest.mark.parametrize("name", WRITING)
def test_texts_are_written_as_by_transformers(name, ask, tmp_path, parity_row):
    writer = WRITERS[name]
    model = written(name, TEXTS, tmp_path / "m")
    asked = ask(model.folder, writer.task, **writer.options)
    check_rows(rows(asked, [Text(text) for text in TEXTS]), model.ids, model.tokenizer.pad_token_id)
    key = KEYS.get(writer.task, "generated_text")
    answers = asked.answers([Text(text) for text in TEXTS])
    assert answers == [[{key: text}] for text in model.texts]

    shorter = [Text(text.split(" ", 1)[-1]) for text in SENTENCES]
    missed = rows(asked, shorter)
    off = sum(
        ids not in (row[1 : 1 + len(ids)], row[: len(ids)])
        for row, ids in zip(missed, model.ids[: len(missed)], strict=True)
    )
    assert off >= len(SENTENCES) // 4
    breaks = {"a word dropped": f"{off} of {len(SENTENCES)} answers"}
    breaks |= other_language(name, ask, model)
    parity_row(
        name,
        writer.task,
        torch="tokens equal",
        onnx=NOT_RUN,
        end_to_end="tokens and texts equal, alone and in a batch",
        breaks=breaks,
    )


def other_language(name: str, ask: Any, model: Written) -> dict[str, str]:
    """Tell a model of the wrong language, or without its prefix: answers must change."""
    writer = WRITERS[name]
    told = {
        "mBART": {"tgt_lang": "ro_RO"},
        "M2M100": {**writer.options, "src_lang": "fr"},
        "NLLB": {"tgt_lang": "eng_Latn"},
        "T5": {"prefix": ""},
    }.get(name)
    if told is None:
        return {}
    answers = ask(model.folder, writer.task, **told).answers([Text(text) for text in TEXTS])
    off = sum(
        answer[0]["translation_text"] != text
        for answer, text in zip(answers, model.texts, strict=True)
    )
    assert off >= len(TEXTS) // 4
    return {"another language or prefix": f"{off} of {len(TEXTS)} answers"}


@pytest.mark.parametrize("name", ["BART", "T5", "M2M100"])
def test_each_record_ends_at_its_own_limit_as_if_it_were_alone(name, ask, tmp_path):
    writer = WRITERS[name]
    model = written(name, TEXTS, tmp_path / "m")
    version = load_version(
        str(model.folder), beside=tmp_path, models_dir=tmp_path, task=writer.task
    )
    content = version.manifest.model_dump(mode="json", exclude_defaults=True)
    content["inputs"]["text"]["kind"] = "text"
    content["generation"] = {"max_length_ratio": 0.2}
    (model.folder / "model.yaml").write_text(yaml.safe_dump(content))
    asked = ask(model.folder, writer.task, **writer.options)

    given = [
        model.tokenizer(writer.options.get("prefix", "") + text, return_tensors="pt")
        for text in TEXTS
    ]
    limits = [min(math.ceil(0.2 * one["input_ids"].shape[1]), NEW_TOKENS) for one in given]
    expected = [
        alone(model.module, one, limit, **forced(writer, model.tokenizer))[0]
        for one, limit in zip(given, limits, strict=True)
    ]
    assert len(set(limits)) > 3
    came = rows(asked, [Text(text) for text in TEXTS])
    check_rows(came, expected, model.tokenizer.pad_token_id)


def test_beams_end_at_their_records_own_limit_too(ask, tmp_path):
    writer = WRITERS["T5"]
    model = written("T5", TEXTS, tmp_path / "m")
    version = load_version(
        str(model.folder), beside=tmp_path, models_dir=tmp_path, task=writer.task
    )
    content = version.manifest.model_dump(mode="json", exclude_defaults=True)
    content["inputs"]["text"]["kind"] = "text"
    content["generation"] = {"max_length_ratio": 0.2, "num_beams": 3}
    (model.folder / "model.yaml").write_text(yaml.safe_dump(content))
    asked = ask(model.folder, writer.task, **writer.options)

    def tokens(texts):
        # what is shorter than the longest of a batch is filled up with ends, if padding is 0
        silent = (model.tokenizer.pad_token_id, model.tokenizer.eos_token_id)
        found = rows(asked, [Text(text) for text in texts])
        return [[token for token in row if token not in silent] for row in found]

    together = tokens(TEXTS)
    assert together == [tokens([text])[0] for text in TEXTS]
    assert len({len(row) for row in together}) > 3


def test_the_language_of_a_text_is_told_by_its_token(ask, tmp_path):
    model = written("mBART", TEXTS, tmp_path / "m")
    asked = ask(model.folder, "translation", src_lang="ro_RO", tgt_lang="de_DE")
    number = model.tokenizer.convert_tokens_to_ids("ro_RO")
    expected = []
    for text in TEXTS:
        given = model.tokenizer(text, return_tensors="pt")
        assert given["input_ids"][0, 0] == model.tokenizer.convert_tokens_to_ids("en_XX")
        given["input_ids"][0, 0] = number
        told = forced(WRITERS["mBART"], model.tokenizer)
        expected.append(alone(model.module, given, **told)[0])
    assert expected != model.ids
    came = rows(asked, [Text(text) for text in TEXTS])
    check_rows(came, expected, model.tokenizer.pad_token_id)


def pictures() -> list[np.ndarray]:
    """Draw pictures with large shapes, BGR, of the size that models take."""
    made = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        rough = random.integers(0, 255, (3, 4, 3), np.uint8)
        made.append(cv2.resize(rough, (48, 40), interpolation=cv2.INTER_CUBIC))
    return made


@pytest.mark.parametrize("name", CAPTIONERS)
def test_pictures_are_described_as_by_transformers(name, ask, tmp_path, parity_row):
    drawn = pictures()
    model = captioner(name, [upright(picture) for picture in drawn], tmp_path / "m")
    asked = ask(model.folder, "image-to-text")
    samples = [Image(picture) for picture in drawn]
    answers = asked.answers(samples)
    assert answers == [[{"generated_text": text}] for text in model.texts]

    swapped = asked.answers([Image(np.ascontiguousarray(p[:, :, ::-1])) for p in drawn])
    off = sum(one != other for one, other in zip(swapped, answers, strict=True))
    assert off >= len(drawn) // 4
    parity_row(
        name,
        "image-to-text",
        torch="tokens equal",
        onnx=NOT_RUN,
        end_to_end="texts equal",
        breaks={"BGR for RGB": f"{off} of {len(drawn)} answers"},
    )


def upright(picture: np.ndarray) -> Any:
    """Give a picture as transformers takes it."""
    stream = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(picture[:, :, ::-1])).save(stream, "PNG")
    return Pillow.open(stream).convert("RGB")
