"""What encoded pictures say of themselves, read without decoding them."""

from streamer.decode.headers.header import Format, Header
from streamer.decode.headers.recognise import header_of, is_whole, read_header

__all__ = ["Format", "Header", "header_of", "is_whole", "read_header"]
