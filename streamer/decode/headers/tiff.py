"""TIFF 6.0 and BigTIFF: the first directory."""

import struct
from dataclasses import dataclass

from streamer.decode.headers.header import Format, Header, corrupt, spans, unsupported

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _SAMPLE = 273, 279, 324, 325, 339
_WANTED = {
    *(_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC),
    *(_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _SAMPLE),
}
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_BIG = 43
_UNSIGNED = 1
_BLACK_IS_ZERO, _RGB = 1, 2
_WITH_ALPHA = (2, 4)
_DEEP = 16
_DEPTHS = {1, 2, 4, 8, 16}
_MAX_ENTRIES = 1024
_MAX_VALUES = 2**18  # strips of one row each, in the highest picture there may be


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are: byte order, and sizes that differ between TIFF and BigTIFF."""

    order: str
    word: str  # an offset or a count
    count: str  # entries of a directory
    entry: int  # bytes of an entry

    @property
    def inline(self) -> int:
        """Bytes of a value that lies in the entry itself."""
        return struct.calcsize(self.word)


def _layout(value: bytes) -> tuple[_Layout, int]:
    """Give the layout and where the first directory's position is written."""
    order = "<" if value[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", value, 2)
    if version == _BIG:
        return _Layout(order, "Q", "Q", 20), 8
    return _Layout(order, "I", "H", 12), 4


def _directory(value: bytes) -> dict[int, tuple[int, ...]]:
    """Read the entries that matter, tag to values."""
    layout, start = _layout(value)
    order = layout.order
    (position,) = struct.unpack_from(order + layout.word, value, start)
    (count,) = struct.unpack_from(order + layout.count, value, position)
    if count > _MAX_ENTRIES:
        raise corrupt(f"TIFF with {count} entries in its directory")
    position += struct.calcsize(order + layout.count)
    tags = {}
    for index in range(count):
        at = position + index * layout.entry
        tag, kind, number = struct.unpack_from(order + "HH" + layout.word, value, at)
        letter = _TYPES.get(kind)
        if tag not in _WANTED or letter is None:
            continue
        content = at + 4 + layout.inline
        if number > _MAX_VALUES:
            raise corrupt(f"TIFF with {number} values in one entry")
        size = number * struct.calcsize(letter)
        if size > layout.inline:
            (content,) = struct.unpack_from(order + layout.word, value, content)
        if content + size > len(value):
            raise struct.error
        tags[tag] = struct.unpack_from(f"{order}{number}{letter}", value, content)
    return tags


def _span(tags: dict[int, tuple[int, ...]]) -> int:
    """Give where the last strip or tile ends."""
    for places, sizes in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        if places in tags and sizes in tags:
            ends = [place + size for place, size in zip(tags[places], tags[sizes], strict=False)]
            return max(ends, default=0)
    return 0


def _read(value: bytes) -> Header:
    tags = _directory(value)
    if not tags.get(_WIDTH) or not tags.get(_HEIGHT):
        raise corrupt("TIFF without a width or a height")
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    bits = tags.get(_BITS) or (1,)
    if not width or not height:
        raise corrupt(f"TIFF of {width}x{height} pixels")
    if set(bits) - _DEPTHS or set(tags.get(_SAMPLE) or (1,)) != {_UNSIGNED}:
        raise unsupported(f"TIFF with {max(bits)} bits per channel, or signed or float ones")
    colours = (tags.get(_PHOTOMETRIC) or (_BLACK_IS_ZERO,))[0]
    if bits[0] == _DEEP and colours not in (_BLACK_IS_ZERO, _RGB):
        raise unsupported(f"TIFF of 16 bits that is neither grey nor RGB (photometric {colours})")
    # OpenCV multiplies colours with alpha, and takes L*a*b* for RGB.
    return Header(
        "TIFF",
        width,
        height,
        depth=bits[0],
        plain=False,
        alpha=len(bits) in _WITH_ALPHA,
        span=_span(tags),
    )


TIFF = Format("TIFF", _read, spans)
