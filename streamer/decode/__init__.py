"""Records to samples: pictures, texts and pairs of sentences, within limits."""

from streamer.decode.decoder import Decoder, Kind

__all__ = ["Decoder", "Kind"]
