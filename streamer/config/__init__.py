"""Settings (where), topologies (what flows), and how both are read and refused."""

from streamer.config.settings import Settings, load_settings
from streamer.config.topology import Topology, load_topology, topology_schema

__all__ = ["Settings", "Topology", "load_settings", "load_topology", "topology_schema"]
