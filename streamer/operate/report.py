"""A comparison as one HTML file: counts, and the changed answers with their pictures."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from PIL import Image as Picture

from streamer.operate.comparison import Change, Side
from streamer.operate.drawing import drawn
from streamer.operate.lines import written
from streamer.records import Image, Pair, Sample

_SIDE = 480
_QUALITY = 80
_MOST_CHARS = 600

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
  color: #1c2430; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .25rem 1rem .25rem 0; }
.change { border-top: 1px solid #d6dbe2; padding: 1rem 0; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
figure { margin: 0; } img { max-width: 100%; border-radius: 4px; }
figcaption { color: #4b5768; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f3f5f8; padding: .6rem; border-radius: 4px; }
.told { font-weight: 600; } .place { color: #4b5768; font-size: .85rem; }
@media (prefers-color-scheme: dark) { body { color: #e3e8ef; background: #14181e; }
  pre { background: #1f2630; } figcaption, .place { color: #9aa7b8; } }
"""


@dataclass(frozen=True)
class Example:
    """A change, and the record it is about as far as it can be shown."""

    change: Change
    sample: Sample | None


def html_report(about: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """Write a page that needs nothing beside it.

    Args:
        about: what was compared, with the counts of each step under `steps`.
        examples: what is shown of the changes.
    """
    title = f"{about['topology']}: {about['before']} against {about['after']}"
    rows = [
        ("records", f"{about['records']:,} of {', '.join(about['topics'])}"),
        ("from", about["from"]),
        ("to", about["to"]),
        ("before", about["before"]),
        ("after", about["after"]),
        ("run", "one by one" if about["one_by_one"] else "in batches"),
    ]
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table(rows),
        *(_step(name, counts) for name, counts in about["steps"].items()),
        f"<h2>{len(examples)} examples</h2>" if examples else "<h2>No answer has changed</h2>",
        *map(_example, examples),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)
    return f"<table>{cells}</table>"


def _step(name: str, counts: Mapping[str, Any]) -> str:
    low, high = counts["agreement_interval"]
    share = counts["agreement"]
    rows = [
        ("answered alike", f"{counts['same']:,} of {counts['records']:,}"),
        ("agreement", "" if share is None else f"{share:.2%} (95%: {low:.2%} to {high:.2%})"),
        ("failures", f"{counts['failed_before']:,} before, {counts['failed_after']:,} after"),
    ]
    if counts["score_shift_mean"] is not None:
        rows.append(("scores", f"{counts['score_shift_mean']:+.4f} in the mean"))
    changes = [(f"{count:,}", told) for told, count in counts["changes"].items()]
    told = f"<h3>What changed</h3>{_table(changes)}" if changes else ""
    return f"<h2>{escape(name)}</h2>{_table(rows)}{told}"


def _example(example: Example) -> str:
    change = example.change
    place = "{topic} {partition}/{offset}".format(**change.source)
    sides = "".join(
        _side(change.step, side, example.sample) for side in (change.before, change.after)
    )
    return (
        f'<div class="change"><div class="told">{escape(change.step)}: {escape(change.told)}</div>'
        f'<div class="place">{escape(place)}</div>{_text(example.sample)}'
        f'<div class="sides">{sides}</div></div>'
    )


def _text(sample: Sample | None) -> str:
    if sample is None or isinstance(sample, Image):
        return ""
    parts = [sample.first, sample.second] if isinstance(sample, Pair) else [sample.text]
    return "".join(f"<pre>{escape(part[:_MOST_CHARS])}</pre>" for part in parts)


def _side(step: str, side: Side, sample: Sample | None) -> str:
    told = side.error if side.error is not None else written(side.output)
    caption = f"<figcaption>{escape(side.version)}: {escape(told)}</figcaption>"
    picture = ""
    if isinstance(sample, Image) and side.error is None:
        source = _data_uri(drawn(sample.pixels, {step: side.output}))
        picture = f'<img src="{source}" alt="{escape(told, quote=True)}">'
    return f"<figure>{picture}{caption}</figure>"


def _data_uri(picture: Picture.Image) -> str:
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def json_report(about: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]) -> str:
    """Write the same for programs."""
    return json.dumps({**about, "examples": list(changes)}, indent=2, ensure_ascii=False) + "\n"
