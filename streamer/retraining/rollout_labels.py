"""What labels say of a rollout, told to whoever decides about it."""

from collections.abc import Callable
from datetime import datetime

import structlog

from streamer.broker import Producer
from streamer.config import Settings
from streamer.deployments.counts import ArmCounts, Counts
from streamer.deployments.deployment import Deployment, now
from streamer.deployments.ledger import event_record, send
from streamer.errors import BrokerError
from streamer.labels import LiveAccuracy
from streamer.labels.accuracy import Figures


class RolloutLabels:
    """Tells the events topic how champion and candidate fare on labelled records.

    Only records of the random share count: labels that people give because an answer looked wrong
    are no fair sample.

    Args:
        settings: where the brokers are, and the topic's name.
        model: as the registry knows it.
        deployed: reads what is deployed of it.
    """

    def __init__(
        self, settings: Settings, model: str, deployed: Callable[[], Deployment | None]
    ) -> None:
        self._settings = settings
        self._model = model
        self._deployed = deployed
        self._log = structlog.get_logger("retrain")
        self._producer: Producer | None = None
        self._told: tuple[str, int, int] | None = None

    def tell(self, live: LiveAccuracy, now_ms: int) -> None:
        """Tell what is known by now, if a rollout goes on and something has changed."""
        try:
            deployment = self._deployed()
            if deployment is None or deployment.candidate is None:
                return
            counts = counted(self._model, deployment, live, now_ms)
            told = (counts.rollout, counts.champion.labelled, counts.candidate.labelled)
            if told != self._told and any(told[1:]):
                self._write(counts)
                self._told = told
        except BrokerError as error:  # told again with the next figures
            self._log.warning("what labels say of a rollout is not told", error=str(error))
            self.close()

    def _write(self, counts: Counts) -> None:
        if self._producer is None:
            self._producer = Producer(self._settings.kafka)
        value = counts.model_dump_json().encode()
        send(self._producer, [event_record(self._settings, value, counts.key.decode())])

    def close(self) -> None:
        """Close the connections."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None


def counted(model: str, deployment: Deployment, live: LiveAccuracy, now_ms: int) -> Counts:
    """Count what labels say of records that have come since a rollout began."""
    began_ms = int(datetime.fromisoformat(deployment.at).timestamp() * 1000)
    found = live.since(began_ms, now_ms, model)
    return Counts(
        at=now(),
        daemon=f"labels of {model}",
        model=model,
        rollout=deployment.at,
        champion=_arm(found.get(deployment.champion)),
        candidate=_arm(found.get(deployment.candidate or "")),
    )


def _arm(figures: Figures | None) -> ArmCounts:
    if figures is None:
        return ArmCounts()
    return ArmCounts(labelled=figures.random, correct=figures.random_right)
