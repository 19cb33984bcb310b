"""Torch's files, looked at before Torch opens them: what could run code is refused.

`torch.jit.load` reads its archives without Python's pickle. `torch.export.load` does not: parts of
an archive may be pickles, its expressions are evaluated as Python, and its graph may name any
function below `torch`; none of that is in what exports really write.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from streamer.errors import ModelError
from streamer.models.archive import checked_entries
from streamer.models.content import look_at

_MOST_JSON_BYTES = 256 * 2**20
_FILES_OF_SCRIPT = re.compile(r"\b(?:torch|ops\.aten)\.(?:save|from_file)\(")
_TARGET = re.compile(
    r"torch\.ops\.(?!aten\.(?:save|load|from_file)\b)[\w.]+|_operator\.\w+|math\.\w+"
    r"|torch\.sym_\w+|torch\._sym_\w+"
)
_OUTPUT_CLASS = re.compile(r"\b(transformers(?:\.[a-z_0-9]+)+)\.[A-Z]\w*Output")
_WORD = re.compile(r"'[\w.+-]*'|[A-Za-z_]\w*")
_SYMBOL = re.compile(r"'[\w.+-]*'|[suz]\d+|u\d+|zuf\d+")
_SYMPY = frozenset(
    (
        *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Mod", "Max", "Min"),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Equality", "Unequality"),
        *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "Where", "Piecewise"),
        *("FloorDiv", "CleanDiv", "CeilDiv", "PythonMod", "ModularIndexing", "Identity"),
        *("IntTrueDiv", "FloatTrueDiv", "FloatPow", "PowByNatural", "LShift", "RShift"),
        *("TruncToInt", "TruncToFloat", "RoundToInt", "RoundDecimal", "FloorToInt", "CeilToInt"),
        *("ToFloat", "floor", "ceiling", "sqrt", "OpaqueUnaryFn_sqrt", "Abs"),
        *("oo", "int_oo", "true", "false", "True", "False", "precision"),
        *("positive", "nonnegative", "integer", "real", "negative", "zero", "nonzero", "finite"),
        "IsNonOverlappingAndDenseIndicator",
    )
)


def vet_torchscript(file: Path) -> None:
    """Refuse a file that is no TorchScript archive, or that touches files when it runs.

    Raises:
        ModelError: says what it is, and what to do.
    """
    with _opened(file) as archive:
        names = archive.namelist()
        if any(
            name.endswith(("models/model.json", "serialized_exported_program.json"))
            for name in names
        ):
            raise ModelError(f"{file}: was written by torch.export: name it {file.stem}.pt2")
        if not any("/code/" in name for name in names):
            raise ModelError(
                f"{file}: is a pickle (torch.save), which may run any code when it is opened, so "
                "it never is. Write the model as TorchScript (torch.jit.save), with torch.export "
                "(.pt2), as ONNX, or its weights as safetensors with config.json"
            )
        for name in names:
            if "/code/" in name and name.endswith(".py"):
                source = archive.read(name).decode("utf-8", "replace")
                if _FILES_OF_SCRIPT.search(source):
                    raise ModelError(f"{file}: reads or writes files when it runs ({name})")


def vet_exported(file: Path) -> frozenset[str]:
    """Refuse an archive of `torch.export` with parts that could run code.

    Returns:
        Modules of transformers whose classes the program returns; they must be imported first.

    Raises:
        ModelError: says which part.
    """
    needs: set[str] = set()
    with _opened(file) as archive:
        names = archive.namelist()
        if any("/code/" in name for name in names):
            raise ModelError(f"{file}: is TorchScript: name it {file.stem}.pt")
        models = [name for name in names if re.search(r"(^|/)models/[^/]+\.json$", name)]
        if not models:
            raise ModelError(
                f"{file}: is nothing that torch.export of Torch 2.8 or newer wrote; save it anew "
                "with torch.export.save"
            )
        for name in names:
            _vet_part(file, archive, name)
        for name in models:
            program = _json(file, archive, name)
            _vet_program(file, program)
            needs |= set(_OUTPUT_CLASS.findall(json.dumps(program)))
    return frozenset(needs)


def _vet_part(file: Path, archive: ZipFile, name: str) -> None:
    inner = name.partition("/")[2]
    last = inner.rpartition("/")[2]
    if inner.startswith("data/aotinductor/"):
        raise ModelError(f"{file}: holds machine code ({inner}); save it with torch.export.save")
    if last.startswith(("custom_obj_", "opaque_obj_")) or re.fullmatch(
        r"data/(?:weights|constants)/[^/]+\.pt", inner
    ):
        raise ModelError(f"{file}: {inner} is a pickle, which may run code; save plain tensors")
    if last.endswith("_config.json"):
        config = _json(file, archive, name)
        entries = config.get("config", {}) if isinstance(config, dict) else {}
        pickled = [key for key, entry in entries.items() if entry.get("use_pickle")]
        if pickled:
            raise ModelError(f"{file}: '{pickled[0]}' is a pickle, which may run code")
    if inner.startswith("data/sample_inputs/"):
        _vet_samples(file, inner, archive.read(name))


def _vet_samples(file: Path, name: str, content: bytes) -> None:
    """Refuse sample inputs that Torch would unpickle once it cannot read them as tensors."""
    import torch

    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise ModelError(f"{file}: {name} is a pickle of more than tensors") from error


def _vet_program(file: Path, program: Any) -> None:
    for key, value in _entries(program):
        if (
            key == "target"
            and isinstance(value, str)
            and value.startswith(("torch", "math", "_op"))
        ):
            if not _TARGET.fullmatch(value):
                raise ModelError(f"{file}: calls {value}, which is no operator of a model")
        elif key == "target" and isinstance(value, str) and value.startswith("#"):
            raise ModelError(f"{file}: calls {value}, an extension that is not loaded here")
        elif key == "expr_str" and isinstance(value, str):
            _vet_expression(file, value)


def _vet_expression(file: Path, text: str) -> None:
    for word in _WORD.findall(text):
        if word not in _SYMPY and not _SYMBOL.fullmatch(word):
            raise ModelError(f"{file}: holds an expression that no export writes: {text[:80]}")
    if "[" in text or "{" in text or ":" in text or '"' in text or ";" in text:
        raise ModelError(f"{file}: holds an expression that no export writes: {text[:80]}")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _json(file: Path, archive: ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > _MOST_JSON_BYTES:
        raise ModelError(f"{file}: {name} is larger than any export writes it")
    try:
        return json.loads(archive.read(name))
    except ValueError as error:
        raise ModelError(f"{file}: {name} is no JSON: {error}") from error


def _opened(file: Path) -> ZipFile:
    """Open an archive that is what its name says, and does not unpack to many times its size."""
    look_at(file)
    try:
        archive = ZipFile(file)
    except BadZipFile as error:
        raise ModelError(f"{file}: is no archive of Torch, or only a part of one") from error
    try:
        checked_entries(file, archive.infolist())
    except ModelError:
        archive.close()
        raise
    return archive
