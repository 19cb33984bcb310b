"""A stretch of a topic answered again by another version, and what changes."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamer.broker import Reader, wait_for_brokers
from streamer.config import Settings, Topology, load_topology
from streamer.config.topology import ModelRef
from streamer.errors import ConfigError, DecodeError, StreamerError
from streamer.operate.comparison import Comparison, published, sides
from streamer.operate.deadletters import moment
from streamer.operate.opening import Opener
from streamer.operate.report import Example, html_report, json_report
from streamer.operate.stretch import Stretch, published_since
from streamer.pipeline.model import Models
from streamer.pipeline.replay import Replay
from streamer.pipeline.startup import champions
from streamer.records import Record, Sample

_BROKER_PATIENCE_S = 10.0
_REGISTRY = "registry:"


@dataclass(frozen=True)
class Comparing:
    """What is to be compared.

    Attributes:
        model: `NAME=VERSION`: a model of the topology, and the version that is to answer instead.
        since: where the stretch begins: a time, or how long ago.
        until: where it ends; now if left out.
        against: `model`: both versions answer; `published`: compared with the predictions that
            are in the sink's topic.
        examples: changes that are shown at the most.
        limit: records at the most.
        html: where the report goes.
        json: where the same goes for programs.
    """

    file: Path
    model: str
    since: str
    until: str | None = None
    against: Literal["model", "published"] = "model"
    examples: int = 50
    limit: int | None = None
    html: Path | None = None
    json: Path | None = None


def compare(comparing: Comparing, settings: Settings) -> int:
    """Compare, write the reports and a summary; give the exit code.

    Topics are read by assignment, without a group: no position of anybody's moves.

    Raises:
        ConfigError: topology, model, version or times are wrong.
        ModelError: a version does not load.
        BrokerError: Kafka cannot be reached, or has no such topic.
    """
    topology = load_topology(comparing.file)
    models = Models(settings.models)
    name, version = _named(comparing.model, topology, comparing.file, models)
    times = _times(comparing)
    uri = candidate_uri(topology.models[name], version, comparing.file, models)
    with ExitStack() as opened:
        wait_for_brokers(settings.kafka, give_up_after=_BROKER_PATIENCE_S)
        serving = champions(topology.models.values(), settings)
        champion = Replay(topology, comparing.file, settings, deployed=serving)
        opened.callback(champion.close)
        trying = _with(topology, name, uri)
        candidate = Replay(trying, comparing.file, settings, deployed=serving)
        opened.callback(candidate.close)
        if comparing.against == "model" and candidate.files == champion.files:
            raise ConfigError(
                f"--model: {comparing.model}: this version serves already; name another one, or "
                "write into the topology which version it is to be compared with"
            )
        reader = opened.enter_context(Reader(settings.kafka))
        said = (
            published_since(reader, topology, times[0], Opener(settings).plain)
            if comparing.against == "published"
            else None
        )
        stretch = Stretch(reader, topology.source.topics, times)
        comparison = Comparison(comparing.examples)
        samples: dict[tuple[str, int, int], Sample | None] = {}
        count = _run(comparing, stretch, (champion, candidate), said, comparison, samples)
    steps = [step for step, config in topology.steps.items() if config.model == name]
    before = champion.versions[steps[0]] if said is None else "published predictions"
    about = {
        "topology": topology.name,
        "topics": list(topology.source.topics),
        "from": _written(times[0]),
        "to": _written(times[1]),
        "model": name,
        "before": before,
        "after": candidate.versions[steps[0]],
        "records": count,
        "one_by_one": bool(champion.one_by_one or candidate.one_by_one),
    }
    _report(comparing, about, comparison, samples)
    return 0


def _run(  # noqa: PLR0913, PLR0917 - the parts of one run
    comparing: Comparing,
    stretch: Stretch,
    replays: tuple[Replay, Replay],
    said: Mapping[tuple[str, int, int], Mapping[str, Any]] | None,
    comparison: Comparison,
    samples: dict[tuple[str, int, int], Sample | None],
) -> int:
    """Answer the stretch twice, or once where it was answered; give the number of records."""
    champion, candidate = replays
    count = 0
    with _progress() as progress:
        task = progress.add_task(
            "records", total=min(stretch.size, comparing.limit or stretch.size)
        )
        for records in stretch.batches(comparing.limit):
            after = list(candidate.answered(records))
            before = list(champion.answered(records)) if said is None else [None] * len(records)
            for record, new, old in zip(records, after, before, strict=True):
                place = (record.topic, record.partition, record.offset)
                if old is not None:
                    one = sides(old, champion.versions)
                else:
                    one = published((said or {}).get(place, {}), candidate.versions)
                if comparison.add(record, one, sides(new, candidate.versions)):
                    samples[place] = _sample(candidate, record)
            count += len(records)
            progress.update(task, completed=count)
    return count


def candidate_uri(ref: ModelRef, version: str, file: Path, models: Models) -> str:
    """Find the version that is to answer: a uri, or a version beside the one that serves.

    Raises:
        ConfigError: there is none.
    """
    if "/" in version or ":" in version:
        return version
    if ref.uri.startswith(_REGISTRY):
        uri = f"{ref.uri.partition('@')[0]}@{version}"
        models.version(ref.model_copy(update={"uri": uri}), file.parent, None)
        return uri
    beside = models.version(ref, file.parent, None).folder.parent / version
    if not beside.is_dir():
        hint = "write NAME=VERSION, or NAME=PATH with a '/' in it"
        raise ConfigError(f"--model: there is no {beside}; {hint}")
    return str(beside)


def _named(asked: str, topology: Topology, file: Path, models: Models) -> tuple[str, str]:
    """Read `NAME=VERSION`; a model is named as in the topology, or as it calls itself.

    Raises:
        ConfigError: it is not written so, or there is no such model.
    """
    name, equals, version = asked.partition("=")
    if not equals or not name or not version:
        raise ConfigError(f"--model: write NAME=VERSION, not '{asked}'")
    used = [key for key in topology.models if key not in topology.unused_models]
    if name in used:
        return name, version
    for key in used:
        if models.version(topology.models[key], file.parent, None).manifest.name == name:
            return key, version
    raise ConfigError(f"--model: {file} has no model '{name}'; it has {', '.join(used)}")


def _with(topology: Topology, name: str, uri: str) -> Topology:
    changed = topology.models[name].model_copy(update={"uri": uri})
    return topology.model_copy(update={"models": {**topology.models, name: changed}})


def _times(comparing: Comparing) -> tuple[float, float]:
    now = datetime.now(UTC)
    begin = moment(comparing.since, now)
    end = moment(comparing.until, now) if comparing.until else now.timestamp() * 1000
    if begin is None or end is None or begin >= end:
        raise ConfigError(f"--from {comparing.since} must lie before --to {comparing.until}")
    return begin, end


def _sample(replay: Replay, record: Record) -> Sample | None:
    try:
        return replay.sample(record)
    except DecodeError:
        return None


def _report(
    comparing: Comparing,
    about: dict[str, Any],
    comparison: Comparison,
    samples: Mapping[tuple[str, int, int], Sample | None],
) -> None:
    """Write what was found: two files, and a summary for people."""
    told = comparison.as_object()
    about["steps"] = told["steps"]
    examples = []
    for change in comparison.changes:
        place = change.source
        at = (place["topic"], place["partition"], place["offset"])
        examples.append(Example(change, samples.get(at)))
    stem = f"compare-{about['topology']}-{comparing.model.partition('=')[2].replace('/', '-')}"
    html = comparing.html or Path(f"{stem}.html")
    json = comparing.json or Path(f"{stem}.json")
    try:
        html.write_text(html_report(about, examples), encoding="utf-8")
        json.write_text(json_report(about, told["examples"]), encoding="utf-8")
    except OSError as error:
        raise StreamerError(f"{error.filename}: {error.strerror}") from error
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{about['records']:,} records; {about['before']} against {about['after']}")
    for step, counts in about["steps"].items():
        share = "" if counts["agreement"] is None else f", agreement {counts['agreement']:.2%}"
        console.print(
            f"{step}: {counts['changed']:,} of {counts['records']:,} answers changed{share}",
            markup=False,
        )
    console.print(f"{html}\n{json}", markup=False)


def _written(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="seconds")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
