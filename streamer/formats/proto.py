"""Protobuf schemas as text, compiled by protoc, which the extra `schemas` brings."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

_NAME = "schema.proto"
_compiling = Lock()


def message_class(text: str, imports: Mapping[str, str], indexes: Sequence[int]) -> Any:
    """Make the class of a message.

    Args:
        text: the schema's file.
        imports: the files it imports, and those they import, by name; not Protobuf's own.
        indexes: the message's place: its number in the file, then in the message around it.

    Raises:
        ValueError: protoc refuses the text, or there is no message at that place.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in _compiled({**imports, _NAME: text}):
        pool.Add(file)
    place: Any = pool.FindFileByName(_NAME)
    kinds = list(place.message_types_by_name.values())
    try:
        found = kinds[indexes[0]]
        for index in indexes[1:]:
            found = found.nested_types[index]
    except IndexError:
        message = f"no message at {list(indexes)}"
        raise ValueError(message) from None
    return message_factory.GetMessageClass(found)


def _compiled(texts: Mapping[str, str]) -> Sequence[Any]:
    """Compile files; give their descriptors, what is imported first."""
    run: Callable[[list[str]], int] = protoc.main
    with TemporaryDirectory(prefix="streamer-proto-") as folder:
        for name, text in texts.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                message = f"an import of '{name}'"
                raise ValueError(message)
            file = Path(folder, *path.parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        out = Path(folder, "descriptors")
        own = str(files("grpc_tools") / "_proto")
        options = [f"-I{folder}", f"-I{own}", "--include_imports", f"--descriptor_set_out={out}"]
        with _compiling:  # the compiler is C++ with state of its own
            failed = run(["protoc", *options, _NAME])
        if failed:
            message = "protoc refuses it"
            raise ValueError(message)
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)
