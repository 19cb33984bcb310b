"""The reference page of the sidecar's file, made from the docstrings of its sections.

`python -m streamer.retraining.reference docs` writes it; a test compares what is there.
"""

import sys
from pathlib import Path

from streamer.config.reference import file_tables
from streamer.retraining.config import retrain_schema

PAGE = "retraining-file.md"
_HEAD = """# The sidecar's file

<!-- made by `python -m streamer.retraining.reference docs`; edit the docstrings instead -->

What `streamer retrain FILE` reads; [retraining.md](retraining.md) tells what it is about. Unknown
keys are refused. Durations and sizes carry their unit (`10s`, `24h`, `64MiB`), shares are written
as `5%` or as `0.05`. `streamer retrain --schema FILE` prints the JSON Schema for editors.
"""


def retraining_page() -> str:
    """Write the reference of the sidecar's file."""
    return "\n".join([_HEAD, *file_tables(retrain_schema())])


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    (folder / PAGE).write_text(retraining_page(), encoding="utf-8")
