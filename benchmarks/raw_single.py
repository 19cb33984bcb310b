"""What one text takes alone, in memory: `python -m benchmarks.raw_single MODEL COUNT SEED PAUSE`.

Prints the seconds of each text, tokenised and run by all cores or by one, whichever is faster. Each
text comes after a pause of so many seconds, as to a daemon that is idle: caches and cores have gone
cold then, which they do not in a loop without pauses.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

from tokenizers import Tokenizer

from benchmarks import inputs
from benchmarks.raw_text import embedded, opened
from streamer.runtime import usable_cores

_WARM = 10


def main(folder: str, count: str, seed: str, pause: str) -> None:
    """Print the seconds."""
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    texts = inputs.texts(int(count), seed=int(seed))
    found = []
    for threads in {1, usable_cores()}:
        sessions = opened(Path(folder), 1, threads)
        seconds = []
        for text in [*texts[:_WARM], *texts]:
            time.sleep(float(pause))
            began = time.perf_counter()
            embedded([text], tokenizer, sessions, 1)
            seconds.append(time.perf_counter() - began)
        found.append(seconds[_WARM:])
    print(json.dumps({"seconds": min(found, key=median)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
