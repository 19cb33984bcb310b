"""Model versions: their directories, manifests, and how a uri becomes one."""

from streamer.models.manifest import Manifest

__all__ = ["Manifest"]
