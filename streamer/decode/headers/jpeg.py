"""JPEG (ITU T.81): marker segments up to the first scan."""

import re
import struct
from collections.abc import Iterator

from streamer.decode.headers.header import Format, Header, corrupt, unsupported

# FF before FF fills, and FF 00 is an escaped byte. (With FF+, a run of FF takes quadratic time.)
_MARKER = re.compile(rb"\xff([^\xff\x00])", re.DOTALL)
_SIZE = struct.Struct(">BHHB")
_LENGTH = struct.Struct(">H")

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_SEQUENTIAL = {0xC0, 0xC1, 0xC9}
_ALONE = {0x01, *range(0xD0, 0xD8)}
_SCAN, _END = 0xDA, 0xD9
_PRECISION = 8
_CMYK_CHANNELS = 4
# Real files have some dozens (a colour profile in parts, EXIF, tables).
_MAX_SEGMENTS = 4096
# Each scan of a progressive picture is a pass over all its pixels, even one of a few bytes;
# encoders make about ten.
_MAX_SCANS = 100


def _segments(value: bytes) -> Iterator[tuple[int, int]]:
    """Give marker code and position of the content, up to and with the first scan."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(value, position)
        if found is None:
            raise struct.error
        code, position = found[1][0], found.end()
        yield code, position
        if code in (_SCAN, _END):
            return
        if code not in _ALONE:
            position += max(2, _LENGTH.unpack_from(value, position)[0])
    raise corrupt(f"JPEG with more than {_MAX_SEGMENTS} segments before its first scan")


def _read(value: bytes) -> Header:
    for code, position in _segments(value):
        if code in _FRAMES:
            precision, height, width, channels = _SIZE.unpack_from(value, position + 2)
            if precision != _PRECISION:
                raise unsupported(f"JPEG with {precision} bits per channel; 8 are read")
            if not width or not height:
                raise corrupt(f"JPEG of {width}x{height} pixels")
            return Header("JPEG", width, height, plain=channels != _CMYK_CHANNELS)
        if code in _OTHER_FRAMES:
            raise unsupported(f"JPEG of a rare kind (SOF{code - 0xC0}: lossless or hierarchical)")
    raise corrupt("JPEG without a frame header")


def _whole(value: bytes, _: Header) -> bool:
    """Look for the end marker behind the scan's start; an EXIF thumbnail's lies before it."""
    channels = b""
    for code, position in _segments(value):
        if code in _SEQUENTIAL:
            channels = value[position + 7 : position + 8]
        if code == _SCAN:
            if value[position + 2 : position + 3] != channels:  # else no further scan is decoded
                _check_scans(value)
            return value.rfind(b"\xff\xd9", position) >= 0
    return False


def _check_scans(value: bytes) -> None:
    scans = value.count(b"\xff\xda")
    if scans > _MAX_SCANS:
        raise corrupt(f"JPEG of {scans} scans")


JPEG = Format("JPEG", _read, _whole)
