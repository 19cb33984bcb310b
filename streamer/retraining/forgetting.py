"""Withdrawn examples: which versions have learnt from them, and that nothing else keeps them.

The shards lose them by a compaction, copies of records by being written anew, reports by losing the
mistakes that show them. Everything here may be done twice: a sidecar that is killed in the midst of
it does it again when it is back.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import structlog

from streamer.labels import place_of
from streamer.retraining.examples import Row
from streamer.retraining.place import Place
from streamer.retraining.runs import Run, Runs, now

_FILE = "withdrawals.jsonl"
_SHOWN = re.compile(r"<div>(?:(?!<div>).)*?<span class=place>([^<]*)</span></div>", re.DOTALL)
_GONE = "<div>withdrawn</div>"


@dataclass(frozen=True)
class Withdrawn:
    """An example that was withdrawn.

    Attributes:
        at: when the sidecar took note of it.
        name: of the example.
        set_version: of the set, as of the withdrawal.
        versions: that were learnt from it.
        derived: versions that were made of these.
    """

    at: str
    name: str
    set_version: int
    versions: tuple[str, ...]
    derived: tuple[str, ...] = ()


class Forgetting:
    """Takes care that what was withdrawn is forgotten.

    Args:
        place: where the set and the runs are.
        runs: the runs.
    """

    def __init__(self, place: Place, runs: Runs) -> None:
        self._place = place
        self._runs = runs
        self._log = structlog.get_logger("retrain")

    def listed(self) -> list[Withdrawn]:
        """Give what was withdrawn so far, oldest first."""
        content = self._place.read(_FILE) or b""
        return [_read(json.loads(line)) for line in content.splitlines() if line]

    def note(self, rows: Iterable[Row]) -> list[str]:
        """List withdrawals with the versions that were learnt from their examples.

        Args:
            rows: of the set, that withdraw.

        Returns:
            The names of those that are withdrawn.
        """
        before = self.listed()
        known = {(one.name, one.set_version) for one in before}
        found = [row for row in rows if row.withdrawn]
        new = [row for row in found if (row.name, row.sequence) not in known]
        for row in new:
            versions = self._runs.trained_on(row.name)
            derived = derived_from(versions, self._runs.all())
            entry = Withdrawn(now(), row.name, row.sequence, tuple(versions), tuple(derived))
            before.append(entry)
            if versions:
                self._log.warning(
                    "a withdrawn example is forgotten by the set, not by versions",
                    example=row.name,
                    versions=versions,
                    derived=derived,
                )
        if new:
            lines = [json.dumps(asdict(one), ensure_ascii=False) for one in before]
            self._place.write(_FILE, "".join(f"{line}\n" for line in lines).encode())
        names = [row.name for row in found]
        self._clear_reports(names)
        return names

    def _clear_reports(self, names: Iterable[str]) -> None:
        """Take examples out of the mistakes that reports show."""
        gone = set(names)
        if not gone:
            return
        for run in self._runs.all():
            path = f"{run.folder}/report.html"
            content = self._place.read(path)
            page = content.decode() if content is not None else ""
            cleared = without(page, gone)
            if cleared != page:
                self._place.write(path, cleared.encode())


def without(page: str, names: Iterable[str]) -> str:
    """Take the mistakes out of a report that show one of these examples."""
    gone = {escape(name) for name in names}

    def left(found: re.Match[str]) -> str:
        return _GONE if gone & set(found[1].split("\n")) else found[0]

    return _SHOWN.sub(left, page)


def spots_of(names: Iterable[str]) -> list[tuple[str, int, int]]:
    """Give the places of the records that examples were made of, where they have such."""
    places = (place_of(name) for name in names)
    return [(one.topic, one.partition, one.offset) for one in places if one is not None]


def derived_from(versions: Iterable[str], runs: Iterable[Run]) -> list[str]:
    """Name the versions that were made of some, directly or by others; oldest first."""
    roots = set(versions)
    found: list[str] = []
    for run in runs:
        if run.version and run.version not in roots and run.champion in roots.union(found):
            found.append(run.version)
    return found


def _read(told: Mapping[str, Any]) -> Withdrawn:
    return Withdrawn(
        told["at"],
        told["name"],
        told.get("set_version", 0),
        tuple(told["versions"]),
        tuple(told.get("derived", ())),
    )
