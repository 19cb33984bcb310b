"""Records to samples: pictures, texts and pairs of sentences, within limits."""

from streamer.decode.decoder import Decoder, Kind
from streamer.decode.gpu import GpuJpegs

__all__ = ["Decoder", "GpuJpegs", "Kind"]
