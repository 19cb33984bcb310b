"""Positions of a group over librdkafka: what is committed, and what becomes of it."""

from collections.abc import Callable, Mapping

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from streamer.broker.librdkafka.faults import error_of, fault
from streamer.broker.offsets import Note
from streamer.errors import BrokerError
from streamer.records import TopicPartition

Done = Callable[[Exception | None], None]
_ANSWER_S = 2.0
_REBALANCED = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)


def noted(positions: Mapping[TopicPartition, int], note: Note) -> list[ClientPartition]:
    """Put positions into the client's words; it adds a zero byte to each note that there is."""
    found = []
    for partition, position in positions.items():
        told = note(partition)
        if told:
            found.append(ClientPartition(*partition, position, told))
        else:
            found.append(ClientPartition(*partition, position))
    return found


class Commits:
    """Commits and asks, for the thread that polls.

    Args:
        client: the member.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._under_way: list[tuple[dict[TopicPartition, int], Done]] = []

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the committed position and its note.

        The end of a transaction that is still open on it is waited for by asking again, with polls
        between: the whole group waits for a member that does not poll while it rebalances.
        """
        try:
            [found] = self._client.committed([ClientPartition(*partition)], _ANSWER_S)
        except KafkaException as error:
            raise _unsettled(error_of(error)) from error
        if found.error is not None:
            raise _unsettled(found.error)
        return None if found.offset < 0 else (found.offset, found.metadata or "")

    def commit(self, positions: Mapping[TopicPartition, int], note: Note) -> None:
        """Commit and wait."""
        try:
            done = self._client.commit(offsets=noted(positions, note), asynchronous=False)
        except KafkaException as error:
            raise _failure(error_of(error)) from error
        for one in done:
            if one.error is not None:
                raise _failure(one.error)

    def commit_soon(self, positions: Mapping[TopicPartition, int], note: Note, done: Done) -> None:
        """Commit without waiting."""
        self._under_way.append((dict(positions), done))
        try:
            self._client.commit(offsets=noted(positions, note), asynchronous=True)
        except KafkaException as error:
            self._under_way.pop()
            raise _failure(error_of(error)) from error

    def told(self, error: KafkaError | None, offsets: list[ClientPartition]) -> None:
        """Tell who asked for a commit what became of it; called within a poll."""
        positions = {TopicPartition(at.topic, at.partition): at.offset for at in offsets}
        failed = error or next((at.error for at in offsets if at.error is not None), None)
        for number, (asked, done) in enumerate(self._under_way):
            if asked == positions:
                del self._under_way[number]
                done(None if failed is None else _failure(failed))
                return


def _unsettled(error: KafkaError) -> BrokerError:
    found = fault(error, "reading committed positions")
    found.retriable = found.retriable or error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT
    return found


def _failure(error: KafkaError) -> BrokerError:
    found = fault(error, "committing")
    found.retriable = found.retriable or error.code() in _REBALANCED
    return found
