"""Street scenes with road signs, composed by program; the same seed gives the same scene."""

from streamer.demo.scenes.composition import SIZE, PlacedSign, World, crops, cut, scene
from streamer.demo.scenes.kinds import KINDS, LABELS, label_of

__all__ = ["KINDS", "LABELS", "SIZE", "PlacedSign", "World", "crops", "cut", "label_of", "scene"]
