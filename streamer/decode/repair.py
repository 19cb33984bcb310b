"""Pictures whose end is missing, made readable; what is missing is black, grey or left as it was.

Only for `images: {truncated: allow}`.
"""

import struct
import zlib

from streamer.decode.headers import Header
from streamer.decode.headers.png import chunks

_JPEG_END = b"\xff\xd9"
# Behind FF within a scan's pixels: nothing any more, an escape, or a restart marker.
_IN_SCAN = {b"", b"\0", *(bytes((code,)) for code in range(0xD0, 0xD8))}
# A size field in the header is not trusted: padding stays below what the pixels could need.
_MOST_BYTES_A_PIXEL, _HEADERS = 4, 65536
_IHDR = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG's colour type
# PNG, 8.2: first column and row, and steps, of the seven passes of an interlaced picture.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def repaired(value: bytes, header: Header) -> bytes | None:
    """Complete a picture of which the end is missing; None where too little is left."""
    match header.format:
        case "JPEG":
            return _repaired_jpeg(value)
        case "PNG":
            return _repaired_png(value)
        case "BMP" | "WebP":
            missing = header.span - len(value)
            bearable = header.pixels * _MOST_BYTES_A_PIXEL + _HEADERS
            return value + bytes(missing) if missing <= bearable else None
        case _:
            return None


def _repaired_jpeg(value: bytes) -> bytes:
    """Set the end marker, before a segment between two scans of which a part is missing."""
    last = value.rfind(b"\xff")
    code, length = value[last + 1 : last + 2], value[last + 2 : last + 4]
    if code not in _IN_SCAN and int.from_bytes(length) > len(value) - last - 2:
        value = value[:last]
    return value + _JPEG_END


def _repaired_png(value: bytes) -> bytes | None:
    """Inflate what is there of the pixels, fill up with zeros, deflate again."""
    kept: list[bytes] = [value[:8]]
    squeezed: list[bytes] = []
    for name, start, end in chunks(value):
        if name == b"IDAT":
            squeezed.append(value[start + 8 : end - 4])
        elif end <= len(value) and not squeezed:
            kept.append(value[start:end])
    if not squeezed:
        return None
    size = _filtered_bytes(*_IHDR.unpack_from(value, 16))
    try:
        rows = zlib.decompressobj().decompress(b"".join(squeezed), size)
    except zlib.error:
        return None
    pixels = zlib.compress(rows + bytes(size - len(rows)), 1)
    return b"".join((*kept, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")))


def _filtered_bytes(
    width: int,
    height: int,
    depth: int,
    colour: int,
    _compression: int,
    _filter: int,
    interlace: int,
) -> int:
    """Count the bytes of a PNG's filtered rows, before compression."""
    bits = depth * _CHANNELS.get(colour, 1)
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns = -(-(width - left) // across)
        rows = -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )
