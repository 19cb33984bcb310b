import json

import pytest

from streamer.errors import ModelError
from streamer.models import load_version

TOKENS = {
    "input_ids": ("int64", ["batch", "sequence"]),
    "attention_mask": ("int64", ["batch", "sequence"]),
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    return folder


def write(folder, name, content):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def load(folder, task=None):
    return load_version("repo", beside=folder.parent, models_dir=folder, task=task)


def picture(folder, write_onnx):
    return write_onnx(
        folder / "onnx" / "model.onnx",
        {"pixel_values": ("float32", ["batch", "c", "h", "w"])},
        {"logits": ("float32", ["batch", 2])},
    )


def test_an_image_classifier_is_read_off_its_files(folder, write_onnx):
    file = picture(folder, write_onnx)
    write(
        folder,
        "config.json",
        {"architectures": ["ViTForImageClassification"], "id2label": {"0": "cat", "1": "dog"}},
    )
    write(
        folder,
        "preprocessor_config.json",
        {"size": 224, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.25] * 3},
    )
    version = load(folder)
    image = version.manifest.inputs["pixel_values"]
    assert version.folder == folder
    assert version.file == file
    assert version.manifest.name == "repo"
    assert version.manifest.id2label == {0: "cat", 1: "dog"}
    assert (image.size.height, image.size.width) == (224, 224)
    assert image.resample == "pillow-bicubic"
    assert image.rescale_factor == pytest.approx(1 / 255)
    assert (image.image_mean, image.image_std) == ((0.5,) * 3, (0.25,) * 3)


def test_shortest_edge_and_crop_are_read(folder, write_onnx):
    picture(folder, write_onnx)
    write(folder, "config.json", {"architectures": ["MobileNetV2ForImageClassification"]})
    steps = {
        "image_processor_type": "MobileNetV2ImageProcessor",
        "size": {"shortest_edge": 256},
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "resample": 2,
        "do_normalize": False,
        "rescale_factor": 0.5,
    }
    write(folder, "preprocessor_config.json", steps)
    image = load(folder).manifest.inputs["pixel_values"]
    assert image.size.shortest_edge == 256
    assert image.crop_size.width == 224
    assert image.resample == "pillow-bilinear"
    assert (image.rescale_factor, image.image_mean) == (0.5, (0, 0, 0))
    write(folder, "preprocessor_config.json", {**steps, "size": 256})
    assert load(folder).manifest.inputs["pixel_values"].size.shortest_edge == 256


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (None, "preprocessor_config.json is missing"),
        ({"size": 224, "image_std": [1, 1, 1]}, "do not say image_mean"),
    ],
)
def test_what_is_missing_is_asked_for(folder, write_onnx, steps, said):
    picture(folder, write_onnx)
    write(folder, "config.json", {"architectures": ["ViTForImageClassification"]})
    if steps:
        write(folder, "preprocessor_config.json", steps)
    with pytest.raises(ModelError, match=said) as caught:
        load(folder)
    assert "pixel_values: {kind: image" in str(caught.value)


def text_model(folder, write_onnx, outputs, **config):
    write_onnx(folder / "model.onnx", TOKENS, outputs)
    write(folder, "config.json", {"max_position_embeddings": 512, **config})
    write(folder, "tokenizer.json", {})


def test_a_text_classifier_takes_the_shortest_of_the_length_limits(folder, write_onnx):
    text_model(
        folder,
        write_onnx,
        {"logits": ("float32", ["batch", 3])},
        architectures=["BertForSequenceClassification"],
        id2label=["a", "b", "c"],
        problem_type="multi_label_classification",
    )
    assert load(folder).manifest.inputs["text"].max_length == 512
    write(folder, "tokenizer_config.json", {"model_max_length": 10**30})
    assert load(folder).manifest.inputs["text"].max_length == 512
    write(folder, "config.json", {"architectures": ["BertForSequenceClassification"]})
    assert load(folder).manifest.inputs["text"].max_length == 512
    write(
        folder,
        "config.json",
        {
            "architectures": ["BertForSequenceClassification"],
            "max_position_embeddings": 512,
            "problem_type": "multi_label_classification",
            "id2label": ["a", "b", "c"],
        },
    )
    write(folder, "tokenizer_config.json", {"model_max_length": 128})
    manifest = load(folder).manifest
    assert manifest.inputs["text"].max_length == 128
    assert manifest.inputs["text"].tensors == {"input_ids": "ids", "attention_mask": "mask"}
    assert manifest.problem_type == "multi_label_classification"
    assert manifest.id2label == {0: "a", 1: "b", 2: "c"}


def test_an_embedder_needs_to_say_how_it_pools(folder, write_onnx):
    outputs = {"last_hidden_state": ("float32", ["batch", "sequence", 16])}
    text_model(folder, write_onnx, outputs, architectures=["BertModel"])
    with pytest.raises(ModelError, match="which task it is for: write 'task:' in the topology"):
        load(folder)
    with pytest.raises(ModelError, match=r"1_Pooling/config\.json is missing"):
        load(folder, task="sentence-similarity")
    write(folder, "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    manifest = load(folder, task="sentence-similarity").manifest
    assert manifest.outputs["last_hidden_state"].pooling == "cls"
    assert manifest.inputs["text"].pair is False


@pytest.mark.parametrize(("problem_type", "function"), [(None, "sigmoid"), ("regression", "none")])
def test_a_cross_encoder_reads_both_sentences(folder, write_onnx, problem_type, function):
    text_model(
        folder,
        write_onnx,
        {"logits": ("float32", ["batch", 1])},
        architectures=["BertForSequenceClassification"],
        problem_type=problem_type,
    )
    manifest = load(folder, task="sentence-similarity").manifest
    assert manifest.inputs["text"].pair is True
    assert manifest.outputs["logits"].decode == "score"
    assert manifest.postprocess.function_to_apply == function


def test_files_that_are_no_json_are_refused(folder, write_onnx):
    picture(folder, write_onnx)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json: is no JSON"):
        load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="expected an object, found list"):
        load(folder)


def texts(folder, write_onnx, output, shape):
    write_onnx(folder / "model.onnx", TOKENS, {output: ("float32", shape)})
    write(folder, "tokenizer.json", {})


def test_a_model_of_entailment_takes_two_sentences_and_serves_unseen_labels(folder, write_onnx):
    texts(folder, write_onnx, "logits", ["batch", 3])
    labels = {"0": "CONTRADICTION", "1": "NEUTRAL", "2": "ENTAILMENT"}
    config = {"architectures": ["BartForSequenceClassification"], "id2label": labels}
    write(folder, "config.json", config)
    judged = load(folder).manifest
    assert judged.task == "text-classification"
    assert judged.inputs["text"].pair
    ranked = load(folder, "zero-shot-classification").manifest
    assert (ranked.inputs["text"].pair, ranked.inputs["text"].truncation) == (True, "only_first")
    assert ranked.id2label[2] == "ENTAILMENT"


def test_a_tagger_and_an_encoder_are_read_off_their_files(folder, write_onnx):
    texts(folder, write_onnx, "logits", ["batch", "sequence", 3])
    config = {"architectures": ["BertForTokenClassification"], "id2label": ["O", "B-A", "I-A"]}
    write(folder, "config.json", config)
    tagged = load(folder).manifest
    assert (tagged.task, tagged.id2label[1]) == ("token-classification", "B-A")

    texts(folder, write_onnx, "last_hidden_state", ["batch", "sequence", 8])
    write(folder, "config.json", {"architectures": ["BertModel"]})
    output = load(folder, "feature-extraction").manifest.outputs["last_hidden_state"]
    assert (output.pooling, output.normalize) == ("none", False)
    write(folder, "1_Pooling/config.json", {"pooling_mode": "cls"})
    write(folder, "modules.json", [{"type": "sentence_transformers.models.Normalize"}])
    output = load(folder, "feature-extraction").manifest.outputs["last_hidden_state"]
    assert (output.pooling, output.normalize) == ("cls", True)


def test_positions_that_stand_for_padding_are_no_room_for_tokens(folder, write_onnx):
    texts(folder, write_onnx, "logits", ["batch", 2])
    config = {"architectures": ["RobertaForSequenceClassification"], "model_type": "roberta"}
    sizes = {"max_position_embeddings": 514, "pad_token_id": 1}
    write(folder, "config.json", {**config, **sizes})
    assert load(folder).manifest.inputs["text"].max_length == 512


def test_models_that_write_are_read_with_their_prefix_languages_and_limits(folder):
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    tuned = {"summarization": {"prefix": "summarize: ", "max_length": 200}}
    config = {"architectures": ["T5ForConditionalGeneration"], "task_specific_params": tuned}
    write(folder, "config.json", config)
    write(folder, "tokenizer.json", {})
    written = load(folder).manifest
    assert written.task == "text2text-generation"
    assert written.outputs["sequences"].decode == "tokens"
    assert written.generation.max_new_tokens == 64
    short = load(folder, "summarization").manifest
    assert short.inputs["text"].prefix == "summarize: "
    assert short.generation.max_new_tokens == 199

    config = {"architectures": ["MBartForConditionalGeneration"], "model_type": "mbart"}
    write(folder, "config.json", config)
    write(folder, "tokenizer_config.json", {"src_lang": "en_XX"})
    write(folder, "generation_config.json", {"max_new_tokens": 40, "max_length": 200})
    translated = load(folder).manifest
    assert (translated.task, translated.inputs["text"].src_lang) == ("translation", "en_XX")
    assert translated.generation.max_new_tokens == 40


def test_pieces_with_their_own_vocabulary_are_a_tokenizer_too(folder):
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    config = {"architectures": ["M2M100ForConditionalGeneration"], "model_type": "m2m_100"}
    write(folder, "config.json", config)
    (folder / "sentencepiece.bpe.model").touch()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        load(folder)
    write(folder, "vocab.json", {})
    text = load(folder).manifest.inputs["text"]
    assert (text.tokenizer, text.src_lang) == ("sentencepiece.bpe.model", "en")


def test_a_model_of_captions_is_read_with_its_pictures_rules(folder):
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    write(folder, "config.json", {"architectures": ["BlipForConditionalGeneration"]})
    steps = {"size": {"height": 8, "width": 8}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    write(folder, "preprocessor_config.json", steps)
    with pytest.raises(ModelError, match="what its tokens mean"):
        load(folder)
    write(folder, "tokenizer.json", {})
    told = load(folder).manifest
    assert told.task == "image-to-text"
    assert told.inputs["pixel_values"].size.height == 8
