"""Model versions: their directories, manifests, and how a uri becomes one."""

from streamer.models.manifest import Manifest
from streamer.models.version import Version, load_version

__all__ = ["Manifest", "Version", "load_version"]
