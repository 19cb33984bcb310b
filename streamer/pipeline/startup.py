"""What a daemon takes over at its start of what is deployed."""

from collections.abc import Iterable
from threading import Event

import structlog

from streamer.broker import wait_for_brokers
from streamer.config import Settings, Topology
from streamer.config.topology import ModelRef
from streamer.deployments import Ledger
from streamer.deployments.topics import there
from streamer.errors import BrokerError, ModelError, StreamerError
from streamer.models import Version
from streamer.models.location import version_order
from streamer.models.successor import check_successor
from streamer.pipeline.model import Models, Trial, registered_name
from streamer.pipeline.serving import Serving
from streamer.pipeline.swaps import try_alone
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


def champions(refs: Iterable[ModelRef], settings: Settings) -> dict[str, str]:
    """Read which versions of registered models serve; none where nothing was ever deployed.

    Raises:
        BrokerError: Kafka does not let us read.
    """
    if not any(registered_name(ref) for ref in refs) or not there(settings):
        return {}
    return {name: found.champion for name, found in Ledger(settings).read().items()}


def trial_of_deployed(models: Models, serving: Serving) -> Trial:
    """Make what a version has to pass before a daemon that starts loads it: what a swap asks too.

    A restart must not let in what the running daemons have refused, and a version that crashes must
    not take the daemon with it.
    """

    def tried(version: Version, ref: ModelRef) -> None:
        name = str(registered_name(ref))
        deployment = serving.deployed.get(name)
        if deployment is None:
            try:
                try_alone(models, version, ref)
            except ModelError as error:
                raise ModelError(
                    f"{error}; it is the newest: put another version into service: "
                    f"streamer models promote {name} VERSION"
                ) from error
            return
        before, served = serving.stand_in(name)
        if before and not served and version.manifest.version == deployment.champion:
            _check_labels(models, name, version, before)
        try_alone(models, version, ref)

    return tried


def _check_labels(models: Models, name: str, version: Version, before: str) -> None:
    """Compare a version with the one that served before it, as far as that is still known.

    Raises:
        ModelError: it answers something else.
    """
    try:
        manifest = models.registry.manifest(name, before)
    except StreamerError:
        return  # there is nothing left that it could be compared with
    back = version_order(version.manifest.version) < version_order(before)
    check_successor(version.manifest, manifest, back=back)


def gone_back(models: Models, serving: Serving, error: StreamerError) -> bool:
    """Take the version that served before of a model whose deployed one fails, if there is one.

    Other daemons serve it too, then: they have refused the deployed one while they ran. If there is
    none, the fleet is told why this daemon ends.
    """
    name = models.failed
    if name is None:
        return False
    deployment = serving.deployed.get(name)
    tried = models.deployed.get(name, "the newest")
    before = serving.stand_in(name)[0] if deployment is not None else None
    if deployment is None or before in {None, tried}:
        serving.refused(name, tried, error)
        return False
    structlog.get_logger("daemon").error(
        "the deployed version does not serve; taking the one before",
        model=name,
        version=deployment.champion,
        before=before,
        reason=str(error),
    )
    models.close()
    models.failed = None
    models.deployed[name] = str(before)
    return True
