"""PNG (W3C Recommendation, third edition): the IHDR chunk, and chunks up to the pixels."""

import struct
from collections.abc import Iterator

from streamer.decode.headers.header import Format, Header, corrupt

_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBB")
_CHUNK_EXTRA = 12  # length, name and CRC
_FIRST_CHUNK = 8
_END = b"\0\0\0\0IEND\xaeB`\x82"
_DEEP = 16
_GREY, _RGB = 0, 2
_MAX_CHUNKS = 4096
# acTL makes OpenCV decode an animation where others show the still picture; libpng writes
# warnings about colour profiles, which nobody here applies, to standard error.
_LEFT_OUT = {b"acTL", b"iCCP"}


def chunks(value: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start and end (of the whole chunk) of each chunk, the last maybe cut off."""
    position = _FIRST_CHUNK
    for _ in range(_MAX_CHUNKS):
        if position + _CHUNK.size > len(value):
            return
        length, name = _CHUNK.unpack_from(value, position)
        yield name, position, position + length + _CHUNK_EXTRA
        position += length + _CHUNK_EXTRA


def without_extras(value: bytes) -> bytes:
    """Leave out chunks that change nothing but how OpenCV fares."""
    cuts = []
    for name, start, end in chunks(value):
        if name == b"IDAT":
            break
        if name in _LEFT_OUT:
            cuts.append((start, end))
    if not cuts:
        return value
    edges = [0, *(edge for cut in cuts for edge in cut), len(value)]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return b"".join(value[start:end] for start, end in pairs)


def _read(value: bytes) -> Header:
    _, name = _CHUNK.unpack_from(value, _FIRST_CHUNK)
    if name != b"IHDR":
        raise corrupt(f"PNG that begins with a chunk {name!r}, not IHDR")
    width, height, depth, colour, _ = _IHDR.unpack_from(value, _FIRST_CHUNK + _CHUNK.size)
    if not width or not height:
        raise corrupt(f"PNG of {width}x{height} pixels")
    # Grey and RGB can name one colour that is transparent (tRNS); of 16 bits that is left aside.
    alpha = not (depth == _DEEP and colour in (_GREY, _RGB))
    return Header("PNG", width, height, depth=depth, alpha=alpha)


def _whole(value: bytes, _: Header) -> bool:
    return value.rfind(_END) >= 0


PNG = Format("PNG", _read, _whole)
