"""BMP: the file header and the DIB header behind it."""

import struct

from streamer.decode.headers.header import Format, Header, corrupt, spans

_CORE = struct.Struct("<HHHH")
_INFO = struct.Struct("<iiHHI")
_DIB = 14
_CORE_SIZE, _INFO_SIZE = 12, 40
_UNCOMPRESSED = {0, 3, 6}  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS
_WITH_ALPHA = 32
_DEPTHS = {1, 2, 4, 8, 16, 24, 32}


def _read(value: bytes) -> Header:
    offset, size = struct.unpack_from("<II", value, 10)
    compression = 0
    if size == _CORE_SIZE:
        width, height, _, depth = _CORE.unpack_from(value, _DIB + 4)
    elif size >= _INFO_SIZE:
        width, height, _, depth, compression = _INFO.unpack_from(value, _DIB + 4)
    else:
        raise corrupt(f"BMP with a header of {size} bytes")
    height = abs(height)
    if width <= 0 or not height or depth not in _DEPTHS:
        raise corrupt(f"BMP of {width}x{height} pixels, {depth} bits each")
    row = (width * depth + 31) // 32 * 4
    span = offset + row * height if compression in _UNCOMPRESSED else offset + 1
    return Header("BMP", width, height, alpha=depth == _WITH_ALPHA, span=span)


BMP = Format("BMP", _read, spans)
