"""Frameworks that must not meet in one process."""

import sys

from streamer.errors import ConfigError

_TITLES = {"torch": "Torch", "tensorflow": "TensorFlow"}


def refuse_mixing(wanted: str) -> None:
    """Refuse Torch and TensorFlow in one process: their copies of the same libraries collide.

    Raises:
        ConfigError: the other one is loaded already.
    """
    for other, title in _TITLES.items():
        if other != wanted and other in sys.modules:
            raise ConfigError(
                f"{_TITLES[wanted]} and {title} cannot run in one process: write "
                "isolation: process at the models of one of them"
            )
