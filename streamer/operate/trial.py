"""A model tried on files, without Kafka."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from streamer.config import Settings
from streamer.config.topology import Source
from streamer.decode import Decoder, Kind
from streamer.errors import ConfigError, RecordError
from streamer.operate.drawing import drawn
from streamer.operate.entries import JSON, Entry, entries, found_files
from streamer.operate.lines import written
from streamer.pipeline import Predictor
from streamer.records import Image, Record, Sample

_BATCH = 64
_QUALITY = 90


@dataclass(frozen=True)
class Trial:
    """What is to be tried.

    Attributes:
        model: uri of the model.
        task: what it does, if it does not say so itself.
        draw: folder for pictures with what was found drawn in.
    """

    model: str
    files: tuple[Path, ...]
    task: str | None = None
    threshold: float | None = None
    top_k: int | None = None
    as_json: bool = False
    draw: Path | None = None


def try_files(trial: Trial, settings: Settings) -> int:
    """Print what a model says of files; give the exit code, 1 if it could not answer one.

    Raises:
        ConfigError: there is no such model or file.
        ModelError: the model cannot be loaded.
    """
    console = Console(soft_wrap=True, highlight=False)
    files = found_files(trial.files)
    if trial.draw is not None:
        trial.draw.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.open(
        trial.model, settings, task=trial.task, threshold=trial.threshold, top_k=trial.top_k
    )
    failed = 0
    try:
        for batch in _batches(entries(files)):
            samples = [sampled(entry, predictor.kinds) for entry in batch]
            good = [sample for sample in samples if not isinstance(sample, RecordError)]
            outputs = iter(predictor.predict(good))
            for entry, sample in zip(batch, samples, strict=True):
                output = sample if isinstance(sample, RecordError) else next(outputs)
                failed += isinstance(output, RecordError)
                _show(console, entry, output, as_json=trial.as_json)
                if (
                    trial.draw is not None
                    and isinstance(sample, Image)
                    and not isinstance(output, RecordError)
                ):
                    name = f"{Path(entry.origin).stem}.jpg"
                    picture = drawn(sample.pixels, {"try": output})
                    picture.save(trial.draw / name, quality=_QUALITY)
    finally:
        predictor.close()
    return 1 if failed else 0


def _batches(all_entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while batch := list(islice(all_entries, _BATCH)):
        yield batch


def sampled(entry: Entry, kinds: frozenset[str]) -> Sample | RecordError:
    """Decode what a file holds the way a source of that format would.

    Args:
        entry: of a file.
        kinds: what the model takes.
    """
    value, form = entry.value, _format(entry)
    if form == "text" and kinds == {"pair"}:
        value, form = _pair(entry), "json"
    kind = _kind(entry, form, kinds)
    source = Source(topics=("files",), format=form)
    try:
        return Decoder(source, kind).decode(Record("files", 0, 0, 0, None, value))
    except ConfigError:
        wanted = " or ".join(sorted(kinds))
        return RecordError(f"the model reads {wanted}, not {form}", reason="wrong-kind")
    except RecordError as error:
        return error


def _format(entry: Entry) -> Literal["image", "text", "json"]:
    if entry.content_type == JSON:
        return "json"
    return "text" if entry.content_type.startswith("text/") else "image"


def _kind(entry: Entry, form: str, kinds: frozenset[str]) -> Kind:
    """Choose what to read of an entry, where the model takes more than one kind."""
    if form == "json" and "sentence1" in entry.fields() and "pair" in kinds:
        return "pair"
    every: tuple[Kind, ...] = ("image", "text", "pair")
    return next(kind for kind in every if kind in kinds)


def _pair(entry: Entry) -> bytes:
    """Read a line with a tab between two sentences."""
    first, _, second = entry.value.decode("utf-8", "replace").partition("\t")
    fields = {"sentence1": first, "sentence2": second} if second else {"sentence1": first}
    return json.dumps(fields).encode()


def _show(console: Console, entry: Entry, output: Any, *, as_json: bool) -> None:
    if as_json:
        told = (
            {"file": entry.origin, "error": {"reason": output.reason, "message": str(output)}}
            if isinstance(output, RecordError)
            else {"file": entry.origin, "output": output}
        )
        console.out(json.dumps(told, ensure_ascii=False), highlight=False)
    elif isinstance(output, RecordError):
        reason = (f"{output.reason}: {output}", "red")
        console.print(Text.assemble((f"{entry.origin}  ", "cyan"), reason))
    else:
        console.print(Text.assemble((f"{entry.origin}  ", "cyan"), written(output)))
