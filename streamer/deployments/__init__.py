"""Which version serves: the deployments topic, and the rules of a rollout."""

from streamer.deployments.deployment import ChangedMeanwhileError, Deployment
from streamer.deployments.ledger import Ledger, promoting, rolling_back

__all__ = ["ChangedMeanwhileError", "Deployment", "Ledger", "promoting", "rolling_back"]
