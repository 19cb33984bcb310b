"""What encoded pictures say of themselves, read without decoding them."""

from streamer.decode.headers.header import Format, Header
from streamer.decode.headers.recognise import SIGNATURE_BYTES, header_of, read_header

__all__ = ["SIGNATURE_BYTES", "Format", "Header", "header_of", "read_header"]
