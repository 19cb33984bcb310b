"""Models that write texts: of texts, and of pictures."""

from typing import Any

from streamer.models.huggingface.pictures import picture_input
from streamer.models.huggingface.source import Source
from streamer.models.huggingface.texts import text_input

_TOKENS = {"sequences": {"decode": "tokens"}}
_DEFAULT_NEW_TOKENS = 64
# M2M100's tokenizer writes a language before each text; without a word of it, English.
_DEFAULT_LANGUAGES = {"m2m_100": "en"}


def writer_of_texts(source: Source) -> dict[str, Any]:
    """Read a model that writes a text of a text: translation, summaries, answers.

    Raises:
        ModelError: something is missing; says what.
    """
    inputs = text_input(source)
    text = inputs["text"]
    tuned = (source.config.get("task_specific_params") or {}).get(source.task) or {}
    prefix = tuned.get("prefix") or source.config.get("prefix")
    if prefix:
        text["prefix"] = prefix
    language = source.read("tokenizer_config.json").get("src_lang")
    if language is None and not text["tokenizer"].endswith(".json"):
        language = _DEFAULT_LANGUAGES.get(str(source.config.get("model_type")))
    if language:
        text["src_lang"] = language
    return {"inputs": inputs, "outputs": _TOKENS, "generation": _generation(source, tuned)}


def writer_of_captions(source: Source) -> dict[str, Any]:
    """Read a model that writes a text of a picture.

    Raises:
        ModelError: something is missing; says what.
    """
    if not source.has("tokenizer.json"):
        raise source.asking("what its tokens mean: tokenizer.json is missing")
    return {
        "inputs": picture_input(source),
        "outputs": _TOKENS,
        "generation": _generation(source, {}),
    }


def _generation(source: Source, tuned: dict[str, Any]) -> dict[str, Any]:
    """Read how long answers may be; the rest is read by `generate` itself."""
    settings = {**source.config, **source.read("generation_config.json"), **tuned}
    limit = settings.get("max_new_tokens")
    if limit is None and settings.get("max_length"):
        limit = settings["max_length"] - 1  # the token that a text begins with counts
    return {"max_new_tokens": limit or _DEFAULT_NEW_TOKENS}
