"""GIF (87a, 89a): the screen, and the blocks up to the end of the first frame."""

import struct

from streamer.decode.headers.header import Format, Header, corrupt

_SCREEN = struct.Struct("<HHB")
_FRAME = struct.Struct("<HHHHB")
_SCREEN_AT, _BLOCKS_AT = 6, 13
_EXTENSION, _IMAGE = 0x21, 0x2C
_TABLE = 0x80
# Of extensions before the first frame, in all: more is no picture that anybody made.
_MAX_SUBBLOCKS = 4096
# Encoders write pixels in parts of 255 bytes; parts far smaller are there to waste time.
_FAIR_SUBBLOCK = 32


def _table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & _TABLE else 0


def _first_frame(value: bytes) -> int:
    """Find the first frame's descriptor.

    Raises:
        struct.error: the value ends before it.
    """
    _, _, flags = _SCREEN.unpack_from(value, _SCREEN_AT)
    position = _BLOCKS_AT + _table_bytes(flags)
    for _ in range(_MAX_SUBBLOCKS):
        (kind,) = struct.unpack_from("B", value, position)
        if kind == _IMAGE:
            return position + 1
        if kind != _EXTENSION:
            raise corrupt(f"GIF without a frame: a block of kind {kind:#04x} comes first")
        position = _behind_subblocks(value, position + 2, _MAX_SUBBLOCKS)
    raise corrupt(f"GIF with more than {_MAX_SUBBLOCKS} blocks before its first frame")


def _behind_subblocks(value: bytes, position: int, most: int) -> int:
    for _ in range(most):
        (length,) = struct.unpack_from("B", value, position)
        position += length + 1
        if length == 0:
            return position
    raise corrupt(f"GIF with a block of more than {most} parts")


def _read(value: bytes) -> Header:
    width, height, _ = _SCREEN.unpack_from(value, _SCREEN_AT)
    left, top, across, down, _ = _FRAME.unpack_from(value, _first_frame(value))
    # A first frame larger than the screen makes the picture larger.
    width, height = max(width, left + across), max(height, top + down)
    if not width or not height:
        raise corrupt(f"GIF of {width}x{height} pixels")
    # OpenCV paints transparent pixels of the first frame white; Pillow keeps their colours.
    return Header("GIF", width, height, plain=False, alpha=True)


def _whole(value: bytes, _: Header) -> bool:
    frame = _first_frame(value)
    flags = _FRAME.unpack_from(value, frame)[4]
    pixels = frame + _FRAME.size + _table_bytes(flags) + 1
    most = _MAX_SUBBLOCKS + len(value) // _FAIR_SUBBLOCK
    return _behind_subblocks(value, pixels, most) <= len(value)


GIF = Format("GIF", _read, _whole)
