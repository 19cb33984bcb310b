"""Folders of Hugging Face, made here: they answer as transformers does."""

import gc
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from support.torch_files import HERE, Evil

from streamer.errors import ModelError
from streamer.infer import Session, Tuning, check_fit, open_session
from streamer.infer.pretrained import load_pretrained
from streamer.infer.torch import _SHARED
from streamer.models import Manifest, Version

pytestmark = [
    pytest.mark.torch,
]
TOKENS = {
    "kind": "text",
    "max_length": 16,
    "tensors": {"input_ids": "ids", "attention_mask": "mask"},
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def folder_version(folder: Path, **manifest: Any) -> Version:
    described = {
        "name": "bert",
        "task": "text-classification",
        "inputs": {"text": {**TOKENS, "tokenizer": "tokenizer.json"}},
        "outputs": {"logits": {"decode": "logits"}},
        **manifest,
    }
    file = folder / "model.safetensors"
    return Version(folder=folder, manifest=Manifest.model_validate(described), file=file)


def tokens(count: int = 3, length: int = 7) -> dict[str, np.ndarray[Any, Any]]:
    ids = np.random.default_rng(2).integers(1, 50, (count, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def logits_of(session: Session) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = session.run(tokens())["logits"]
    return values


def test_a_hugging_face_folder_answers_as_transformers_does(bert):
    built = folder_version(bert)
    session = open_session(built, device="cpu")
    check_fit(built, session)
    module = transformers.BertForSequenceClassification.from_pretrained(bert).eval()
    with torch.inference_mode():
        wanted = module(**{name: torch.from_numpy(array) for name, array in tokens().items()})
    np.testing.assert_allclose(logits_of(session), wanted.logits.numpy(), atol=1e-6)
    assert load_pretrained(built).config._attn_implementation == "sdpa"


def test_an_exported_folder_answers_by_the_names_of_its_outputs(bert, tmp_path):
    module = transformers.BertForSequenceClassification.from_pretrained(bert).eval()
    given = {name: torch.from_numpy(array) for name, array in tokens().items()}
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2, max=512)}
    program = torch.export.export(module, (), given, dynamic_shapes=dict.fromkeys(given, free))
    torch.export.save(program, tmp_path / "model.pt2")
    # a process of its own has not imported the class of what the model returns
    built = folder_version(bert)
    built = Version(tmp_path, built.manifest, tmp_path / "model.pt2")
    session = open_session(built, device="cpu", isolation="process")
    try:
        assert session.max_batch is None
        wanted = logits_of(open_session(folder_version(bert), device="cpu"))
        np.testing.assert_allclose(logits_of(session), wanted, atol=1e-6)
    finally:
        session.close()


@pytest.mark.parametrize(("precision", "close"), [("bf16", 0.05), ("fp16", 0.01)])
def test_a_folder_runs_in_the_precision_that_is_asked_for(bert, precision, close):
    whole = logits_of(open_session(folder_version(bert), device="cpu"))
    half = logits_of(
        open_session(folder_version(bert), device="cpu", tuning=Tuning(precision=precision))
    )
    assert half.dtype == np.float32
    assert 0 < np.abs(whole - half).max() < close


def test_sessions_of_one_folder_share_its_weights_until_the_last_is_closed(bert):
    built = folder_version(bert)
    first, second = (open_session(built, device="cpu") for _ in range(2))
    [module] = [held for key, held in _SHARED.items() if key[0] == built.file]
    alone = logits_of(first)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(lambda session: [logits_of(session) for _ in range(20)], (first, second))
        )
    assert all(np.array_equal(alone, one) for runs in both for one in runs)
    del module
    first.close()
    second.close()
    gc.collect()
    assert not [key for key in _SHARED if key[0] == built.file]


def test_weights_that_are_not_there_are_not_made_up(bert):
    built = folder_version(bert, task="token-classification")
    with pytest.raises(ModelError, match=r"lacks weights .* trained for another task"):
        load_pretrained(built, "AutoModelForQuestionAnswering")


def test_code_of_a_folder_s_own_is_never_run(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "own.Own"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelError, match=r"brings code of its own .* never run"):
        open_session(folder_version(folder), device="cpu")


def test_pytorch_model_bin_is_read_only_where_that_is_allowed(bert, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(bert / "config.json", folder)
    module = transformers.BertForSequenceClassification.from_pretrained(bert)
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    built = folder_version(folder)
    built = Version(built.folder, built.manifest, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"is a pickle; save the weights as safetensors .* allow_bin: true"
    ):
        open_session(built, device="cpu")
    allowed = open_session(built, device="cpu", tuning=Tuning(allow_bin=True))
    np.testing.assert_allclose(
        logits_of(allowed), logits_of(open_session(folder_version(bert), device="cpu")), atol=1e-6
    )
    torch.save({"bert.pooler.dense.bias": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        open_session(built, device="cpu", tuning=Tuning(allow_bin=True))
    assert not HERE.exists()
