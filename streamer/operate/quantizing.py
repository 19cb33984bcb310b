"""A version that can also compute in fewer bits, and what that does to its answers."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from streamer.config import Settings
from streamer.config.topology import ModelRef, StepConfig
from streamer.errors import ConfigError, ModelError, RecordError
from streamer.graphs.halver import halve
from streamer.graphs.quantiser import Feeds, quantise
from streamer.models.files import Twin, twin_of
from streamer.models.location import MANIFEST
from streamer.models.packing import files_of, new_folder, pack
from streamer.models.registry import open_registry
from streamer.models.version import Version, load_version
from streamer.operate.effect import Effect, effect_of
from streamer.operate.entries import Entry, entries, found_files
from streamer.operate.trial import sampled
from streamer.pipeline.model import Models
from streamer.pipeline.predictor import Predictor, Silent
from streamer.pipeline.step import Step
from streamer.preprocess import preprocessor_for
from streamer.records import Sample

_MOST_RECORDS = 5000
_CALIBRATION = 128


@dataclass(frozen=True)
class Quantizing:
    """What is to be quantised.

    Attributes:
        source: uri of the model.
        target: new folder.
        data: records, labelled or not, on which both are compared; pictures are calibrated on
            them too.
        task: what the model does, if its files do not say.
        precision: what the twin computes in.
        as_json: whether to print JSON.
    """

    source: str
    target: Path
    data: tuple[Path, ...]
    task: str | None = None
    precision: Twin = "int8"
    as_json: bool = False


def quantize_model(quantizing: Quantizing, settings: Settings) -> int:
    """Write the version with `model.int8.onnx` or `.fp16` beside its graph; print what changes.

    Raises:
        ConfigError: there is no such model or file, the folder is there already or cannot be made.
        ModelError: the model is no ONNX file, or cannot be quantised.
    """
    target = quantizing.target.absolute()
    if target.exists():
        raise ConfigError(f"--to: {target} is there already; versions never change")
    version = load_version(
        quantizing.source,
        beside=Path.cwd(),
        models_dir=settings.models.dir,
        task=quantizing.task,
        registry=open_registry(settings.models),
        cache=settings.models.cache,
    )
    if version.file.suffix != ".onnx":
        raise ModelError(
            f"{version.file}: only ONNX files are quantised; `streamer models export` makes one"
        )
    records = list(islice(entries(found_files(quantizing.data)), _MOST_RECORDS))
    with new_folder(target) as part:
        effect = _written(version, part, records, settings, quantizing)
    if quantizing.as_json:
        print(json.dumps(asdict(effect), indent=2))  # noqa: T201 - the command's output
    else:
        console = Console(soft_wrap=True, highlight=False)
        console.print(
            f"{target}: {version.manifest.task}; in a topology: precision: {quantizing.precision}"
        )
        for line in effect.told():
            console.print(line)
    return 0


def _written(
    version: Version,
    folder: Path,
    records: Sequence[Entry],
    settings: Settings,
    quantizing: Quantizing,
) -> Effect:
    """Fill the new version's folder."""
    for name in files_of(version):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(version.folder / name, copy)
    graph = folder / version.file.relative_to(version.folder)
    preprocessor = preprocessor_for(version.manifest, version.folder)
    kinds = frozenset({preprocessor.kind})
    samples = [sampled(record, kinds) for record in records]
    good = [sample for sample in samples if not isinstance(sample, RecordError)]
    if not good:
        raise ConfigError("--data: the model reads none of these records")
    twin = twin_of(graph, quantizing.precision)
    if quantizing.precision == "fp16":
        halve(version.file, twin)
        way = "fp16"
    else:
        calibration = _feeds(version, good) if preprocessor.kind == "image" else None
        way = quantise(version.file, twin, calibration)
    plain, plain_s = _answers(version, good, settings, "auto")
    staged = _repacked(folder, version, {})
    quick, quick_s = _answers(staged, good, settings, quantizing.precision)
    labels = [
        _label(record, version)
        for record, sample in zip(records, samples, strict=True)
        if not isinstance(sample, RecordError)
    ]
    sizes = version.file.stat().st_size, twin.stat().st_size
    effect = effect_of(plain, quick, labels, way, sizes, (plain_s, quick_s))
    lineage = {
        "source": quantizing.source,
        "source_version": version.manifest.version,
        quantizing.precision: asdict(effect),
        "quantised": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _repacked(folder, version, lineage)
    return effect


def _repacked(folder: Path, version: Version, lineage: dict[str, Any]) -> Version:
    """Write the manifest with all checksums; read the version as anybody would."""
    file = folder / version.file.relative_to(version.folder)
    staged = Version(folder, version.manifest, file)
    packed = pack(staged, lineage=lineage)
    (folder / MANIFEST).write_bytes(packed.manifest)
    return load_version(str(folder), beside=folder, models_dir=folder)


def _feeds(version: Version, samples: Sequence[Sample]) -> Iterator[Feeds]:
    """Give batches of one, spread over the records."""
    preprocessor = preprocessor_for(version.manifest, version.folder)
    step = max(len(samples) // _CALIBRATION, 1)
    for prepared in preprocessor.prepare(samples[::step][:_CALIBRATION]):
        if not isinstance(prepared, RecordError):
            for one in prepared:
                yield preprocessor.collate([one])


def _answers(
    version: Version, samples: Sequence[Sample], settings: Settings, precision: str
) -> tuple[list[Any], float]:
    """Answer samples; give the answers and the seconds that it took."""
    models = Models(settings.models)
    ref = ModelRef.model_validate({"uri": str(version.folder), "precision": precision})
    model = models.open(ref, version.folder, version.manifest.task)
    config = StepConfig(model=version.manifest.name)
    step = Step("try", config, version.manifest.task, model, Silent())
    predictor = Predictor(model, models, step)
    try:
        predictor.predict(samples[:8])
        began = perf_counter()
        return predictor.predict(samples), perf_counter() - began
    finally:
        predictor.close()


def _label(record: Entry, version: Version) -> str | float | None:
    """Read a record's label: a field `label` or `score`, or the name of a picture's folder.

    What is none of the model's labels says nothing of it.
    """
    fields = record.fields()
    if "label" not in fields and isinstance(fields.get("score"), int | float):
        return float(fields["score"])
    folder = Path(record.origin).parent.name if record.is_picture else None
    label = str(fields["label"]) if "label" in fields else folder
    return label if label in version.manifest.id2label.values() else None
