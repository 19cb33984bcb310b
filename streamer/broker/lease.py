"""Being the one of many processes that may do something, by owning a topic's only partition."""

from contextlib import suppress

from kafka import KafkaConsumer, errors

from streamer.broker.connection import client_settings
from streamer.broker.failures import broker_error
from streamer.broker.joins import Assignor
from streamer.config.settings import KafkaSettings


class Lease:
    """A member of a group that reads nothing: whoever is given the partition holds the lease.

    After the holder's death the group gives it to another one, within the session timeout. A holder
    that was stopped for longer learns of its loss only afterwards: what it does must be safe then
    too, as a compare-and-set is.
    """

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        try:
            self._client = KafkaConsumer(
                topic,
                **client_settings(kafka),
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="latest",
                session_timeout_ms=int(kafka.session_timeout * 1000),
                heartbeat_interval_ms=int(kafka.heartbeat_interval * 1000),
                max_poll_interval_ms=int(kafka.max_poll_interval * 1000),
                allow_auto_create_topics=False,
                # Whoever holds the lease keeps it while others come and go.
                partition_assignment_strategy=(Assignor,),
            )
            for assignor in self._client._coordinator._assignors.values():  # noqa: SLF001
                assignor.owned = self._client._subscription.assigned_partitions  # noqa: SLF001
        except errors.KafkaError as error:
            raise broker_error(error, f"joining the group {group}") from error

    def held(self, timeout: float) -> bool:
        """Keep the membership alive for `timeout` seconds, and say whether the lease is ours.

        To be called again and again from one thread, more often than `max_poll_interval`.

        Raises:
            BrokerError: Kafka refuses.
        """
        try:
            self._client.poll(timeout_ms=int(timeout * 1000))
            mine = self._client.assignment()
            self._client.pause(*(mine - self._client.paused()))
            member = self._client.group_metadata()
        except errors.KafkaError as error:
            raise broker_error(error, "holding the lease") from error
        return bool(mine) and bool(member.member_id) and member.generation_id >= 0

    def close(self) -> None:
        """Leave the group: another one holds the lease next."""
        with suppress(errors.KafkaError):
            self._client.close()
