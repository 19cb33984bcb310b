"""Torch's files, which are zip archives: what they hold, and whether they may be opened at all."""

import json
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from streamer.errors import ModelError
from streamer.models.graph import Graph, Tensor
from streamer.models.ultralytics import noted

_MAX_ENTRIES = 200_000
# Torch stores weights as they are and packs only source texts: nothing grows a hundredfold.
_MAX_GROWTH = 100
_SMALL_BYTES = 2**26
_MAX_PART_BYTES = 2**26
_ENCRYPTED = 1
# torch/_export/serde/schema.py: ScalarType
_DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16",
}  # fmt: skip
_SAFER = (
    "export the model with torch.export (.pt2), torch.jit (.pt) or to ONNX, or save its weights "
    "as safetensors"
)


def read_archive(file: Path) -> Graph:
    """Read the outside of a TorchScript file (`.pt`) or an exported program (`.pt2`).

    TorchScript tells names of inputs only; they are given in the order of its `forward`.

    Raises:
        ModelError: it is neither, holds pickled objects instead, or must not be opened.
    """
    with _opened(file) as archive:
        names = checked_entries(file, archive.infolist())
        parts = {name.partition("/")[2] or name for name in names}
        if "models/model.json" in parts:
            return _program(file, _part(archive, names, "models/model.json", file))
        if "constants.pkl" in parts and any(part.startswith("code/") for part in parts):
            return _script(archive, names)
    if "data.pkl" in parts:
        raise ModelError(
            f"{file}: is a pickle (torch.save of a module or its weights): to load one is to run "
            f"code that its author chose. Instead {_SAFER}"
        )
    raise ModelError(f"{file}: is neither TorchScript nor an exported program; {_SAFER}")


def checked_entries(file: Path, entries: Iterable[zipfile.ZipInfo]) -> list[str]:
    """Refuse an archive that would fill the memory or leave its place; give its entries' names.

    Raises:
        ModelError: naming what is wrong with it.
    """
    listed = list(entries)
    size = file.stat().st_size
    if len(listed) > _MAX_ENTRIES:
        raise ModelError(f"{file}: has {len(listed)} entries, which no model has")
    grown = sum(entry.file_size for entry in listed)
    if grown > max(_MAX_GROWTH * size, _SMALL_BYTES):
        raise ModelError(
            f"{file}: would grow from {size:,} to {grown:,} bytes when it is unpacked: it is no "
            "model but a zip bomb"
        )
    if sum(entry.compress_size for entry in listed) > size:
        raise ModelError(f"{file}: its entries overlap: it is no model but a zip bomb")
    for entry in listed:
        if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
            raise ModelError(f"{file}: has an entry '{entry.filename}' that leads out of it")
        if entry.flag_bits & _ENCRYPTED:
            raise ModelError(f"{file}: is encrypted")
    return [entry.filename for entry in listed]


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelError(
            f"{file}: is no archive as Torch writes them, or only a part of one: {error}"
        ) from error
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error


def _part(archive: zipfile.ZipFile, names: list[str], ending: str, file: Path) -> bytes:
    name = next(name for name in names if name.endswith(ending))
    try:
        with archive.open(name) as stream:
            content = stream.read(_MAX_PART_BYTES + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{file}: its part {name} cannot be read: {error}") from error
    if len(content) > _MAX_PART_BYTES:
        raise ModelError(f"{file}: its part {name} is larger than 64 MiB")
    return content


def _program(file: Path, content: bytes) -> Graph:
    try:
        graph = json.loads(content)["graph_module"]
        sizes = graph["graph"]["tensor_values"]
        signature = graph["signature"]
        inputs = _arguments(signature["input_specs"], "user_input")
        outputs = _arguments(signature["output_specs"], "user_output")
        names = _output_names(graph, len(outputs))
        return Graph(
            tuple(_tensor(name, sizes[name]) for name in inputs),
            tuple(_tensor(said, sizes[name]) for name, said in zip(outputs, names, strict=True)),
            {},
            (),
            (),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{file}: is no exported program that is known here: {type(error).__name__}: {error}"
        ) from error


def _arguments(specs: list[dict[str, Any]], kind: str) -> list[str]:
    return [
        spec[kind]["arg"]["as_tensor"]["name"]
        for spec in specs
        if "as_tensor" in spec.get(kind, {}).get("arg", {})
    ]


def _output_names(graph: dict[str, Any], count: int) -> list[str]:
    """Give the keys of the dictionary that the program returns, else numbers."""
    numbered = [f"output_{at}" for at in range(count)]
    for call in graph.get("module_call_graph", ()):
        if call.get("fqn") == "" and call.get("signature"):
            spec = json.loads(call["signature"]["out_spec"])[1]
            if "dict" in str(spec.get("type")).lower() or "ModelOutput" in str(spec.get("type")):
                keys = json.loads(spec["context"])
                if isinstance(keys, list) and len(keys) == count:
                    return [str(key) for key in keys]
    return numbered


def _tensor(name: str, described: dict[str, Any]) -> Tensor:
    shape = tuple(side.get("as_int") for side in described["sizes"])
    return Tensor(name, _DTYPES.get(described["dtype"], "unknown"), shape)


def _script(archive: zipfile.ZipFile, names: list[str]) -> Graph:
    """Read the parameters of `forward` in the source that TorchScript keeps of the module."""
    read: Callable[[str], bytes] = archive.read
    root = next(name for name in names if name.endswith("data.pkl"))
    head = read(root)[:4096]
    match = re.search(rb"c(__torch__[\w.]*)\n(\w+)\n", head)
    inputs: list[str] = []
    if match:
        code = root.removesuffix("data.pkl") + "code/" + match[1].decode().replace(".", "/") + ".py"
        if code in names:
            source = read(code).decode("utf-8", "replace")
            inputs = _parameters(source, match[2].decode())
    return Graph(
        tuple(Tensor(name, "unknown", None) for name in inputs),
        (Tensor("output_0", "unknown", None),),
        _notes(archive, root),
        (),
        (),
    )


def _notes(archive: zipfile.ZipFile, root: str) -> dict[str, str]:
    """Read what an exporter packed along (`_extra_files`)."""
    name = root.removesuffix("data.pkl") + "extra/config.txt"
    if name not in archive.namelist() or archive.getinfo(name).file_size > _MAX_PART_BYTES:
        return {}
    return noted(archive.read(name))


def _parameters(source: str, module: str) -> list[str]:
    body = re.search(rf"^class {module}\(.*?(?=^class |\Z)", source, re.DOTALL | re.MULTILINE)
    forward = body and re.search(r"def forward\(\w+: [\w.]+,?(.*?)\) ->", body[0], re.DOTALL)
    return re.findall(r"(\w+): (?:Optional\[)?Tensor", forward[1]) if forward else []
