"""An environment of its own for each peer: `python -m benchmarks.environments [NAME…]`."""

import subprocess
import sys
import venv
from pathlib import Path

_PEERS = Path(__file__).parent / "peers"
_BUILD = Path("build/benchmarks")


def main(names: list[str]) -> None:
    """Make `build/benchmarks/NAME` of `peers/NAME.txt`; all of them if none is named."""
    for name in names or sorted(file.stem for file in _PEERS.glob("*.txt")):
        folder = _BUILD / name
        venv.create(folder, with_pip=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r"]
        subprocess.run([*command, _PEERS / f"{name}.txt"], check=True)  # noqa: S603 - pip, by name
        print(f"{folder}: ready")


if __name__ == "__main__":
    main(sys.argv[1:])
