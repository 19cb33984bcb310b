"""Outputs to Kafka: acknowledged or transactional, always whole waves in order."""

from streamer.publish.at_least_once import AtLeastOnce
from streamer.publish.exactly_once import ExactlyOnce
from streamer.publish.outlet import Outlet

__all__ = ["AtLeastOnce", "ExactlyOnce", "Outlet"]
