"""WebP (RFC 9649): the RIFF frame and its first chunk."""

import struct

from streamer.decode.headers.header import Format, Header, corrupt, spans

_RIFF = struct.Struct("<4sI4s4sI")
_LOSSY = struct.Struct("<3s3sHH")
_RIFF_HEAD = 8
_CONTENT = 20
_SIDE = 0x3FFF
_ALPHA_FLAG = 0x10
_LOSSLESS_MARK = 0x2F


def _read(value: bytes) -> Header:
    _, size, _, chunk, _ = _RIFF.unpack_from(value)
    alpha = False
    if chunk == b"VP8 ":
        _, mark, width, height = _LOSSY.unpack_from(value, _CONTENT)
        if mark != b"\x9d\x01\x2a":
            raise corrupt("WebP whose frame does not begin with VP8's start code")
        width, height = width & _SIDE, height & _SIDE
    elif chunk == b"VP8L":
        mark, bits = struct.unpack_from("<BI", value, _CONTENT)
        if mark != _LOSSLESS_MARK:
            raise corrupt("WebP whose lossless frame does not begin with its signature")
        width, height = (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
        alpha = bool(bits >> 28 & 1)
    elif chunk == b"VP8X":
        flags, wide, high = struct.unpack_from("<I3s3s", value, _CONTENT)
        width, height = (int.from_bytes(side, "little") + 1 for side in (wide, high))
        alpha = bool(flags & _ALPHA_FLAG)
    else:
        raise corrupt(f"WebP that begins with a chunk {chunk!r}")
    if not width or not height:
        raise corrupt(f"WebP of {width}x{height} pixels")
    return Header("WebP", width, height, alpha=alpha, span=size + _RIFF_HEAD)


WEBP = Format("WebP", _read, spans)
