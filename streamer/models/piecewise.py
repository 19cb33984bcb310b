"""The vocabulary beside a SentencePiece model: `vocab.json` and special tokens (Marian, M2M100).

Such a model numbers its pieces in another order than the network; `vocab.json` has the network's.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.errors import ModelError

VOCABULARY = "vocab.json"
_SPECIAL_FILES = ("special_tokens_map.json", "tokenizer_config.json")
# M2M100's languages are numbered behind its vocabulary, in this order (Fan et al. 2020, table 1 by
# code); newer folders no longer list them.
_M2M100 = "M2M100Tokenizer"
_LANGUAGES = (
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl "
    "gu ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml "
    "mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th "
    "tl tn tr uk ur uz vi wo xh yi yo zh zu"
)
_ALWAYS = ("<s>", "</s>", "<pad>", "<unk>")


@dataclass(frozen=True)
class PieceNumbers:
    """Numbers of pieces.

    Attributes:
        numbers: by piece, special tokens and languages included.
        special: those that are no part of a text.
    """

    numbers: dict[str, int]
    special: frozenset[str]


def piece_numbers(folder: Path) -> PieceNumbers:
    """Read `vocab.json` and what other files add to it.

    Raises:
        ModelError: a file is missing or is not what it should be.
    """
    numbers = {str(piece): int(number) for piece, number in _read(folder / VOCABULARY).items()}
    config = _read(folder / "tokenizer_config.json", missing={})
    added = {
        str(token["content"]): int(number)
        for number, token in (config.get("added_tokens_decoder") or {}).items()
    }
    added |= _read(folder / "added_tokens.json", missing={})
    if config.get("tokenizer_class") == _M2M100:
        languages = (f"__{code}__" for code in _LANGUAGES.split())
        added |= {token: len(numbers) + place for place, token in enumerate(languages)}
    special = {token for token in _ALWAYS if token in numbers} | set(added)
    for name in _SPECIAL_FILES:
        content = _read(folder / name, missing={})
        for key in ("additional_special_tokens", "extra_special_tokens"):
            for token in content.get(key) or ():
                text = str(token["content"] if isinstance(token, dict) else token)
                special.add(text)
                # Not listed in vocab.json: they come behind it, in this order.
                if text not in numbers and text not in added:
                    added[text] = max({**numbers, **added}.values()) + 1
    return PieceNumbers({**added, **numbers}, frozenset(special))


def _read(file: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    if missing is not None and not file.is_file():
        return missing
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected an object, found {type(content).__name__}")
    return content
