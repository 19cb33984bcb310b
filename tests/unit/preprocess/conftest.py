"""Manifests written short, and a tokenizer of some words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from streamer.models.manifest import Manifest
from streamer.preprocess import Preprocessor, preprocessor_for
from streamer.records import Image

WORDS = ["[CLS]", "[SEP]", "[UNK]", "[PAD]", *"abcdefgh"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with a tokenizer.json; its padding token is number 3."""
    path = tmp_path_factory.mktemp("model")
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(words, unk_token=WORDS[2]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    # Files in the wild carry what they were trained with; none of it may show.
    tokenizer.enable_padding(length=99, pad_id=3, pad_token=WORDS[3])
    tokenizer.enable_truncation(4)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture(scope="session")
def model(folder) -> Callable[..., Preprocessor]:
    """A preprocessor by the one input that varies."""

    def made(task: str = "image-classification", **spec: Any) -> Preprocessor:
        manifest = Manifest(
            name="m", task=task, inputs={"x": spec}, outputs={"y": {"decode": "logits"}}
        )
        return preprocessor_for(manifest, folder)

    return made


@pytest.fixture(scope="session")
def scene() -> Callable[[int, int], Image]:
    def of(height: int, width: int) -> Image:
        rough = np.random.default_rng(height * width).integers(0, 255, (5, 7, 3), np.uint8)
        return Image(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC))

    return of
