"""The report of a run: one page that needs nothing beside it, and the same for programs."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.records import Image, Pair
from streamer.retraining.challenger import Challenger
from streamer.retraining.gate import Verdict
from streamer.retraining.labelled import Example
from streamer.retraining.lesson import Lesson
from streamer.retraining.runs import Run
from streamer.retraining.trial import Trial
from streamer.retraining.truth import box_of
from streamer.retraining.truth import told as told_of

_WORST = 24
_SIDE = 160
_MOST_CHARS = 300
_MOST_LABELS = 40
_OF_ACCURACY = ("accuracy", "balanced_accuracy", "nll")
_RIGHT, _GIVEN = (80, 175, 76), (54, 67, 244)  # BGR: what is right, what was answered
_SHOWN_FROM = 0.3
NOT_REGISTERED = "not registered"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
  color: #1c2430; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0; }
.matrix td { text-align: right; padding: .1rem .35rem; font-size: .8rem; }
.promote { color: #11703a; } .reject { color: #a3271f; } .inconclusive { color: #8a5a00; }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; }
.worst div { border-top: 1px solid #d6dbe2; padding-top: .5rem; overflow-wrap: anywhere; }
.place { color: #4b5768; font-size: .85rem; }
@media (prefers-color-scheme: dark) { body { color: #e3e8ef; background: #14181e; }
  .place { color: #9aa7b8; } .promote { color: #6fcf97; } .reject { color: #ef8a80; } }
"""


def json_report(
    run: Run,
    lesson: Lesson,
    verdict: Verdict,
    challenger: Challenger | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Give what is told of a run to programs."""
    told = {key: value for key, value in asdict(run).items() if key not in ("trained", "figures")}
    return {
        **told,
        "verdict": verdict.decision,
        "reasons": list(verdict.reasons),
        "gate": verdict.figures,
        "set": {
            "version": lesson.version,
            "digest": lesson.digest,
            "examples": lesson.counts,
            "sizes": {side: len(part.examples) for side, part in lesson.sides.items()},
            "labels": list(lesson.labels),
            "new_labels": list(lesson.labels[lesson.old :]),
            "near_duplicates_across_sides": lesson.across,
        },
        "learnt": None
        if challenger is None
        else {"how": challenger.text, "tried": list(challenger.tried), "parity": challenger.parity},
        **more,
    }


def html_report(told: Mapping[str, Any], trial: Trial | None) -> str:
    """Write the page."""
    title = f"{told['model']}: run {told['number']}"
    decision = told["verdict"]
    parts = [
        f"<h1>{escape(title)}: <span class={decision}>{escape(decision)}</span></h1>",
        "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in told["reasons"]) + "</ul>",
        _table(_overview(told)),
        "<h2>Classes</h2>",
        _classes(told),
        "<h2>What was tried</h2>",
        _curves((told["learnt"] or {}).get("tried", ())),
        "<h2>What it was learnt from</h2>",
        _table(_data(told)),
    ]
    if trial is not None:
        if trial.form == "label":
            parts += ["<h2>Who was taken for whom</h2>", _matrix(trial)]
        parts += ["<h2>Worst mistakes</h2>", _worst(trial)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>\n'
        f"{body}\n</html>\n"
    )


def _overview(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    gate = told["gate"]
    rows = [
        ("why it was begun", told["why"]),
        ("champion", told["champion"]),
        ("challenger", told["version"] or NOT_REGISTERED),
        ("began, ended", f"{told['began']}, {told['ended'] or ''}"),
    ]
    if "interval" in gate:
        low, high = gate["interval"]
        old = gate["old_classes"]
        shown = "accuracy" if gate["metric"] in _OF_ACCURACY else gate["metric"]
        rows += [
            (f"champion, {shown}", f"{gate['champion']:.1%} ({gate['examples']} held-out records)"),
            (f"challenger, {shown}", f"{gate['challenger']:.1%}"),
            ("gain", f"{gate['gain']:+.4f}, from {low:+.4f} to {high:+.4f} ({gate['metric']})"),
            ("look", f"{gate['look']} at these records, at alpha {gate['alpha']:.4f}"),
            ("could have found", f"a difference of {gate['detectable']:.4f}, four times in five"),
        ]
        if old is not None:
            both = f"{old['champion']:.1%} before, {old['challenger']:.1%} now"
            rows.append(("on the old classes", both))
    for name in ("latency_ratio", "size_ratio", "records"):
        if name in told:
            value = told[name]
            text = f"{value:.2f}" if isinstance(value, float) else str(value)
            rows.append((name.replace("_", " "), text))
    return rows


def _data(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = told["set"]
    rows = [("set", f"version {found['version']}, digest {found['digest'][:16]}")]
    for side, labels in found["examples"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        size = found["sizes"][side]
        rows.append((side, f"{size}: {counts}" if counts else str(size)))
    rows.append(("new labels", ", ".join(found["new_labels"]) or "none"))
    rows.append(("drift since the last run", str(told.get("drift", "not looked at"))))
    rows.append(("near-duplicates across sides", str(found["near_duplicates_across_sides"])))
    rows += [(name.replace("_", " "), str(count)) for name, count in told.get("labels", {}).items()]
    return rows


def _classes(told: Mapping[str, Any]) -> str:
    classes = told["gate"].get("classes") or {}
    head = "<tr><th>label</th><th>examples</th><th>champion</th><th>challenger</th></tr>"
    rows = [
        f"<tr><td>{escape(label)}</td><td>{one['examples']}</td><td>{one['champion']:.1%}</td>"
        f"<td>{one['challenger']:.1%}</td></tr>"
        for label, one in classes.items()
    ]
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>none were compared</p>"


def _curves(tried: Sequence[Mapping[str, Any]]) -> str:
    """Draw the losses by penalty or epoch, and list them."""
    points = [one for one in tried if "validation" in one]
    if not points:
        return _table([(key, str(value)) for one in tried for key, value in one.items()])
    most = max(max(one["validation"], one["train"]) for one in points) or 1.0
    step = 560 / max(len(points) - 1, 1)
    lines = []
    for name, colour in (("train", "#7a8aa0"), ("validation", "#2b6cb0")):
        places = [(20 + at * step, 150 - 130 * one[name] / most) for at, one in enumerate(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        lines.append(
            f'<text x="{places[-1][0] - 60:.0f}" y="{places[-1][1] - 6:.0f}" '
            f'font-size="11" fill="{colour}">{name}</text>'
        )
    drawn = f'<svg viewBox="0 0 600 160" width="600" role="img">{"".join(lines)}</svg>'
    names = {"train": "loss, training", "validation": "loss, validation"}
    head = "".join(f"<th>{escape(names.get(name, name))}</th>" for name in points[0])
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_number(value))}</td>" for value in one.values()) + "</tr>"
        for one in points
    )
    return f"{drawn}<table><tr>{head}</tr>{rows}</table>"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _matrix(trial: Trial) -> str:
    truths, answers = trial.part.truths, trial.challenger.labels
    names = sorted({*truths, *(one for one in answers if one)})[:_MOST_LABELS]
    places = {name: at for at, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), int)
    for truth, answer in zip(truths, answers, strict=True):
        if truth in places and answer in places:
            counts[places[truth], places[answer]] += 1
    most = max(int(counts.max(initial=0)), 1)
    rows = []
    for name, row in zip(names, counts, strict=True):
        cells = "".join(
            f'<td style="background:rgba(43,108,176,{count / most:.2f})">{count or ""}</td>'
            for count in row
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    told = "<p>Rows: what is right. Columns, in the same order: what the challenger answers.</p>"
    return f"{told}<table class=matrix>{''.join(rows)}</table>"


def _worst(trial: Trial) -> str:
    shown = []
    for at in trial.mistakes()[:_WORST]:
        given, before = trial.challenger.labels[at], trial.champion.labels[at]
        right = told_of(trial.part.answers[at])
        shown.append(
            f"<div>{_shown(trial, at)}<br>is <b>{escape(right)}</b>, answered "
            f"<b>{escape(str(given))}</b> ({trial.challenger.scores[at]:.2f}); before: "
            f"{escape(str(before))}"
            f"<br><span class=place>{_names(trial.part.examples[at])}</span></div>"
        )
    told = ""
    if trial.form == "boxes":
        told = "<p>Green: what is there. Red: what the challenger answers.</p>"
    return f"{told}<div class=worst>{''.join(shown)}</div>" if shown else "<p>none</p>"


def _names(example: Example) -> str:
    """Name an example by all its labels: by these it is found again when one is withdrawn."""
    return escape("\n".join(example.names))


def _shown(trial: Trial, at: int) -> str:
    sample = trial.part.samples[at]
    if isinstance(sample, Image):
        height, width = sample.size
        scale = min(_SIDE / max(height, width), 1.0)
        size = (max(int(width * scale), 1), max(int(height * scale), 1))
        small = cv2.resize(sample.pixels, size, interpolation=cv2.INTER_AREA)
        if trial.form == "boxes":
            _draw(small, trial.part.answers[at], scale, _RIGHT)
            sure = [o for o in trial.challenger.given[at] or () if o["score"] >= _SHOWN_FROM]
            _draw(small, sure, scale, _GIVEN)
        encoded = base64.b64encode(cv2.imencode(".jpg", small)[1].tobytes()).decode()
        return f'<img alt="" src="data:image/jpeg;base64,{encoded}">'
    text = f"{sample.first} | {sample.second}" if isinstance(sample, Pair) else sample.text
    return escape(text[:_MOST_CHARS])


def _draw(
    pixels: NDArray[Any],
    objects: Sequence[Mapping[str, Any]],
    scale: float,
    colour: tuple[int, int, int],
) -> None:
    for one in objects:
        left, top, right, bottom = (int(edge * scale) for edge in box_of(one))
        cv2.rectangle(pixels, (left, top), (right, bottom), colour, 1)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(n)}</th><td>{escape(v)}</td></tr>" for n, v in rows)
    return f"<table>{cells}</table>"


def written(told: Mapping[str, Any]) -> bytes:
    """Write what is told to programs."""
    return json.dumps(told, ensure_ascii=False, indent=1, default=str).encode()
