"""What is known of a picture before it is decoded."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from streamer.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says.

    Attributes:
        format: the format's name, for people.
        width: pixels across, before any EXIF orientation.
        height: pixels down.
        depth: bits per channel.
        plain: whether OpenCV gives the same pixels as Pillow; else Pillow decodes.
        alpha: whether pixels may be transparent.
        span: bytes that must be there for the first picture to be whole, where the header says.
    """

    format: str
    width: int
    height: int
    depth: int = 8
    plain: bool = True
    alpha: bool = False
    span: int = field(default=0, compare=False)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


class Format(NamedTuple):
    """How one format is told and read.

    Attributes:
        name: for people.
        read: value to header; raises DecodeError, or struct.error where the value ends too soon.
        whole: whether the value holds the first picture to its end.
    """

    name: str
    read: Callable[[bytes], Header]
    whole: Callable[[bytes, Header], bool]


def corrupt(message: str) -> DecodeError:
    """Say that a header contradicts itself."""
    return DecodeError(message, reason="corrupt-image")


def unsupported(message: str) -> DecodeError:
    """Say that a picture is of a kind that is not read."""
    return DecodeError(message, reason="unsupported-image")


def spans(value: bytes, header: Header) -> bool:
    """Tell whether the value is as long as its header says."""
    return len(value) >= header.span
