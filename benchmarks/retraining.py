"""Each strategy beside what anybody would write first, on the same split.

`python -m benchmarks.retraining ASSETS [ROW…]` writes the table of docs/retraining.md. ASSETS is a
folder with labelled sets: `data/text/banking77_*.jsonl` and so on. About a quarter of an hour on
one core.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import pictures, sentences
from benchmarks.judging import Row

ROWS: dict[str, Callable[[Path, Path], list[Row]]] = {
    "texts-head": sentences.texts_head,
    "texts-finetune": sentences.texts_finetune,
    "flowers-head": pictures.flowers_head,
    "digits-scratch": pictures.digits_scratch,
    "digits-finetune": pictures.digits_finetune,
    "pairs-head": sentences.pairs_head,
    "pairs-embedding": sentences.pairs_embedding,
    "cells-boxes": pictures.cells_boxes,
}


def main() -> None:
    """Print the table, a row as soon as it is there."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("assets", type=Path)
    asked.add_argument("rows", nargs="*", choices=[[], *ROWS])
    given = asked.parse_args()
    torch.set_num_threads(1)
    head = ("strategy", "what", "examples", "ours", "reference", "difference", "seconds")
    sys.stdout.write(f"| {' | '.join(head)} |\n{'| --- ' * len(head)}|\n")
    for name in given.rows or ROWS:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            rows = ROWS[name](given.assets, Path(folder))
        for row in rows:
            cells = " | ".join([*row.values(), f"{time.perf_counter() - began:.0f}"])
            sys.stdout.write(f"| {cells} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
