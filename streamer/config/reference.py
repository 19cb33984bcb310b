"""The reference pages of settings and topology files, made from the sections' docstrings.

`python -m streamer.config.reference docs` writes them; a test compares what is there.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from streamer.config.schema import file_schema
from streamer.config.settings import Settings
from streamer.config.sources import is_secret, places, variable
from streamer.config.topology import Topology

_NOTE = "<!-- made by `python -m streamer.config.reference docs`; edit the docstrings instead -->"
_SETTINGS = f"""# Settings

{_NOTE}

Settings say where and how: brokers, ports, logs, folders. What flows is said by
[topology files](topology.md). A setting is looked for in this order:

1. the environment: `STREAMER_SECTION__KEY`, two underscores between section and key;
2. a file `.env` in the working directory, with the same names;
3. the YAML file given with `--config`: `section: {{key: value}}`.

An empty variable counts as not set. Durations and sizes carry their unit: `5ms`, `10s`, `64MiB`.
A secret is better kept in a file: `…_FILE` names it (`STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE`, in
YAML `sasl_plain_password_file`). Names that look like a setting but are none are refused.
"""
_TOPOLOGY = f"""# Topology files

{_NOTE}

A topology says what flows: which topics are read, which models look at the records, and where the
predictions go. `streamer check FILE` reads one and says what is wrong, with its line;
`streamer spec --topology-schema` prints the JSON Schema for editors.

A file with one model may write `model:` and `task:` at the top, without `models:` and `steps:`; its
step is named by the task, or `predict` where that is left out:

```yaml
name: support
source: {{topics: [support.messages], format: text}}
model: models/intents
task: text-classification
sink: {{topic: support.intents}}
```

Unknown keys are refused. Durations and sizes carry their unit: `5ms`, `10s`, `64MiB`.
"""


def settings_page() -> str:
    """Write the reference of the settings."""
    schema = file_schema(Settings, "settings")
    parts = [_SETTINGS]
    secret = {location for location, field in places(Settings).items() if is_secret(field)}
    for title, section, at in _settings_sections(schema):
        rows = []
        for key, entry in section.items():
            location = (*at, key)
            name = f"`{variable(location)}`"
            if location in secret:
                name += f"<br>`{variable(location)}_FILE`"
            rows.append((name, _kind(entry), _default(entry), _meaning(entry)))
        parts.append(_table(title, ("variable", "value", "default", "meaning"), rows))
    return "\n".join(parts)


def topology_page() -> str:
    """Write the reference of topology files."""
    return "\n".join([_TOPOLOGY, *file_tables(file_schema(Topology, "topology"))])


def file_tables(schema: dict[str, Any]) -> list[str]:
    """Write a table of each section of a file, from its schema."""
    parts = []
    waiting, seen = [("(top)", schema)], set()
    while waiting:
        title, section = waiting.pop(0)
        rows = []
        for key, entry in section["properties"].items():
            needed = "needed" if key in section.get("required", ()) else _default(entry)
            rows.append((f"`{key}`", _kind(entry), needed, _meaning(entry)))
            for name in _sections_of(entry):
                if name not in seen:
                    seen.add(name)
                    path = key if title == "(top)" else f"{title}.{key}"
                    keyed = f"{path}.NAME" if entry.get("type") == "object" else path
                    waiting.append((keyed, schema["$defs"][name]))
        about = "" if title == "(top)" else section.get("description", "")
        heading = "At the top" if title == "(top)" else f"`{title}`"
        parts.append(_table(heading, ("key", "value", "default", "meaning"), rows, about))
    return parts


def _settings_sections(
    schema: dict[str, Any],
) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    beside = {key: entry for key, entry in schema["properties"].items() if "$ref" not in entry}
    yield "The process", beside, ()
    for key, entry in schema["properties"].items():
        for name in _sections_of(entry):
            section = schema["$defs"][name]
            yield f"`{key}`: {_lowered(section['description'])}", section["properties"], (key,)


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:].removesuffix(".")


def _table(
    title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], about: str = ""
) -> str:
    lines = [f"## {title}", "", *([about, ""] if about else [])]
    lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _meaning(entry: dict[str, Any]) -> str:
    return " ".join(str(entry.get("description", "")).split())


def _default(entry: dict[str, Any]) -> str:
    default = entry.get("default")
    if default in (None, [], {}, ""):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(entry: dict[str, Any]) -> str:
    """Say in a few words what a value may be."""
    named = {"duration-with-unit": "duration", "size-with-unit": "size", "share": "share"}
    form = entry.get("format", "")
    if form in named or form in ("path", "password"):
        return named.get(form, "secret" if form == "password" else form)
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{value}`" for value in entry.get("enum", [entry.get("const")]))
    if "anyOf" in entry:
        kinds = [_kind(option) for option in entry["anyOf"]]
        return ", ".join(kind for kind in kinds if kind != "nothing")
    if "$ref" in entry:
        return "section"
    return _plain_kind(entry)


def _plain_kind(entry: dict[str, Any]) -> str:
    kind = entry.get("type")
    if kind == "array":
        return f"list of {_kind(entry.get('items', {}))}"
    if kind == "object":
        return "sections by name" if _sections_of(entry) else "keys with values"
    words = {"string": "text", "boolean": "`true`, `false`", "null": "nothing", "number": "number"}
    if kind == "integer":
        return f"whole number{_bounds(entry)}"
    return words.get(str(kind), "anything") + (_bounds(entry) if kind == "number" else "")


def _bounds(entry: dict[str, Any]) -> str:
    low, above, high = (entry.get(k) for k in ("minimum", "exclusiveMinimum", "maximum"))
    bounds = [
        f"from {low}" if low is not None else "",
        f"above {above}" if above is not None else "",
        f"to {high}" if high is not None else "",
    ]
    text = " ".join(bound for bound in bounds if bound)
    return f" {text}" if text else ""


def _sections_of(entry: Any) -> list[str]:
    """Name the sections that a value may hold."""
    if isinstance(entry, list):
        return [name for part in entry for name in _sections_of(part)]
    if not isinstance(entry, dict):
        return []
    if "$ref" in entry:
        return [str(entry["$ref"]).rpartition("/")[2]]
    inner = [entry.get(key) for key in ("anyOf", "items", "additionalProperties", "allOf")]
    inner += (entry.get("patternProperties") or {}).values()
    return [name for part in inner for name in _sections_of(part)]


PAGES = {"settings.md": settings_page, "topology.md": topology_page}


def write(folder: Path) -> None:
    """Write the pages into a folder."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
