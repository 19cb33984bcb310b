"""The table of architectures in docs/models.md: rows that parity tests measured, written there.

A test asks for the fixture `parity_row` and calls it once, at its end. Each call appends a line to
the file that STREAMER_PARITY_ROWS names (no file is written without it). `make parity` sets it and
then runs `python -m parity.table FILE`, which replaces what stands between the two markers in the
page. Rows of an earlier run stay in the table until the same case is measured again.

The cases are listed in modules that import no framework, so that the page can be compared with
them anywhere: each module in `MODULES` has `CASES`, pairs of (task, architecture).
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path

ENVIRONMENT = "STREAMER_PARITY_ROWS"
MODULES = ("parity.text_cases", "parity.image_cases")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
BEGIN = "<!-- parity table: written by tests/parity/table.py -->"
END = "<!-- end of parity table -->"
_HEAD = (
    "| task | architecture | Torch | ONNX | end to end | breaks under |",
    "| --- | --- | --- | --- | --- | --- |",
)
_COLUMNS = 6
_UNMEASURED = "not measured yet"


@dataclass(frozen=True)
class Row:
    """What was seen of one architecture in one task.

    Attributes:
        torch: largest difference of an output over Torch, from the reference's own tensors.
        onnx: the same over ONNX, or why the exporter does not take it.
        end_to_end: what was compared from the record to the answer, in a few words.
        breaks: by mistake made on purpose, by how much the answers were off, or in words.
    """

    task: str
    architecture: str
    torch: float | str
    onnx: float | str
    end_to_end: str
    breaks: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def case(self) -> tuple[str, str]:
        """Task and architecture."""
        return self.task, self.architecture

    def line(self) -> str:
        """Write the row of the table."""
        breaks = "; ".join(f"{name}: {_told(size)}" for name, size in self.breaks.items())
        cells = (
            *self.case,
            _told(self.torch),
            _told(self.onnx),
            self.end_to_end,
            breaks,
        )
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Rows:
    """Takes rows from tests; see the module's docstring."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    @classmethod
    def from_environment(cls) -> "Rows":
        """Write where STREAMER_PARITY_ROWS says, or nowhere."""
        named = os.environ.get(ENVIRONMENT)
        return cls(Path(named) if named else None)

    def __call__(
        self,
        architecture: str,
        task: str,
        *,
        torch: float | str,
        onnx: float | str,
        end_to_end: str,
        breaks: Mapping[str, float | str],
    ) -> None:
        """Note a row; a case that is in no list, or that no mistake breaks, is an error."""
        row = Row(task, architecture, torch, onnx, end_to_end, breaks)
        assert row.case in every_case(), f"{row.case} is in none of {', '.join(MODULES)}"
        assert breaks, f"{row.case}: nothing was shown to break it"
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(row)) + "\n")


def every_case() -> list[tuple[str, str]]:
    """List (task, architecture) of every parametrised parity test, in the order of the lists."""
    return [case for module in MODULES for case in import_module(module).CASES]


def rows_in(file: Path) -> list[Row]:
    """Read rows; the last of a case counts."""
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [Row(**json.loads(line)) for line in lines if line.strip()]
    return list({row.case: row for row in rows}.values())


def documented(page: str) -> dict[tuple[str, str], str]:
    """Read the rows that stand in the page: by task and architecture, the line."""
    _, _, rest = page.partition(BEGIN)
    table, end, _ = rest.partition(END)
    if not end:
        message = f"{PAGE} lacks the markers {BEGIN} and {END}"
        raise ValueError(message)
    found = {}
    for line in table.strip().splitlines()[len(_HEAD) :]:
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        assert len(cells) == _COLUMNS, line
        found[cells[0], cells[1]] = line
    return found


def updated(page: str, rows: Iterable[Row], cases: Sequence[tuple[str, str]]) -> str:
    """Put rows into the page, in the order of the cases; lines of no case go.

    A case that was never measured says so.
    """
    lines = {case: _unmeasured(case) for case in cases}
    lines |= documented(page) | {row.case: row.line() for row in rows}
    table = "\n".join([*_HEAD, *(lines[case] for case in cases)])
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _unmeasured(case: tuple[str, str]) -> str:
    return Row(*case, _UNMEASURED, _UNMEASURED, _UNMEASURED, {"—": "—"}).line()


def _told(size: float | str) -> str:
    return size if isinstance(size, str) else f"{size:.0e}".replace("e-0", "e-").replace("e+00", "")


def main(arguments: Sequence[str]) -> None:
    """Write the rows of the files that are named into the page."""
    rows = [row for name in arguments for row in rows_in(Path(name))]
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(updated(page, rows, every_case()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
