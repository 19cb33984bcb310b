"""An environment of its own for each peer: `python -m benchmarks.environments [NAME…]`."""

import subprocess
import sys
import venv
from pathlib import Path

_PEERS = Path(__file__).parent / "peers"
_BUILD = Path("build/benchmarks")


def main(names: list[str]) -> int:
    """Make `build/benchmarks/NAME` of `peers/NAME.txt`; all of them if none is named."""
    failed = 0
    for name in names or sorted(file.stem for file in _PEERS.glob("*.txt")):
        folder = _BUILD / name
        venv.create(folder, with_pip=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r"]
        done = subprocess.run([*command, _PEERS / f"{name}.txt"], check=False)  # noqa: S603 - pip, by name
        failed += done.returncode != 0
        print(f"{folder}: {'pip failed' if done.returncode else 'ready'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
