"""What a daemon takes over at its start of what is deployed."""

from collections.abc import Iterable
from threading import Event

import structlog

from streamer.broker import wait_for_brokers
from streamer.config import Settings, Topology
from streamer.errors import BrokerError, StreamerError
from streamer.pipeline.model import Models, registered_name
from streamer.pipeline.serving import Serving
from streamer.telemetry import Metrics

_RETRY_S = 2.0


def open_serving(
    settings: Settings,
    models: Models,
    metrics: Metrics,
    topologies: Iterable[Topology],
    stopping: Event,
) -> Serving | None:
    """Read what is deployed of the registered models, as long as it takes.

    Returns:
        None if there are no such models, or the daemon is told to stop.
    """
    named = {topology.name: topology.models.values() for topology in topologies}
    if not any(registered_name(ref) for refs in named.values() for ref in refs):
        return None
    log = structlog.get_logger("daemon")
    while not stopping.is_set():
        wait_for_brokers(settings.kafka, give_up_after=None, stopping=stopping.is_set)
        if stopping.is_set():
            break
        try:
            return Serving(settings, models, metrics, named)
        except BrokerError as error:
            if not error.retriable:
                raise
            log.warning("deployments cannot be read yet", error=str(error))
            stopping.wait(_RETRY_S)
    return None


def gone_back(models: Models, serving: Serving, error: StreamerError) -> bool:
    """Take the version before of a model whose deployed one does not load, if there is one.

    Other daemons serve it too, then: they have refused the deployed one while they ran.
    """
    name = models.failed
    deployment = serving.deployed.get(name or "")
    if name is None or deployment is None or deployment.previous is None:
        return False
    if models.deployed[name] == deployment.previous:
        return False
    structlog.get_logger("daemon").error(
        "the deployed version does not load; taking the one before",
        model=name,
        version=deployment.champion,
        previous=deployment.previous,
        reason=str(error),
    )
    models.close()
    models.deployed[name] = deployment.previous
    return True
