"""The deployments topic, read, and changed by compare-and-set.

Kafka has no compare-and-set, but fencing makes one: every writer uses the one transactional id of
the topic. To open it ends what an earlier writer left open and refuses that writer from then on; so
what is read to its end afterwards stays the truth until this writer commits, or is refused itself.
"""

import time
from collections.abc import Callable, Iterator
from time import monotonic
from uuid import uuid4

import structlog

from streamer.broker import Pending, Producer, group_metadata
from streamer.config import Settings
from streamer.deployments.deployment import ChangedMeanwhileError, Deployment, now
from streamer.deployments.events import Changed, Report, Swapped, read_event
from streamer.deployments.topics import Tail, create_topics
from streamer.errors import BrokerError
from streamer.records import OutRecord, TopicPartition

_TRY_FOR_S = 60.0
_LET_OTHERS_END_S = 3.0
_LOOK_EVERY_S = 0.2

Decide = Callable[[Deployment | None], Deployment]
"""Gives what is to be deployed, from what is; raises to refuse."""


class Ledger:
    """What is deployed, by model.

    Args:
        settings: where the brokers are, and the topics' names.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.deployments.topic
        self._log = structlog.get_logger("deployments")
        create_topics(settings)

    def read(self) -> dict[str, Deployment]:
        """Read what is deployed of all models.

        Raises:
            BrokerError: Kafka does not let us read.
        """
        tail = Tail(self._settings, self._topic)
        try:
            return deployed(tail)
        finally:
            tail.close()

    def history(self, model: str | None = None) -> list[Changed]:
        """Give all changes that were made, and those that were refused; oldest first."""
        changes = [event for event in self._events() if isinstance(event, Changed)]
        return [change for change in changes if model in {None, change.model}]

    def swaps(self) -> list[Swapped]:
        """Give what became of swaps, on all daemons; oldest first."""
        return [event for event in self._events() if isinstance(event, Swapped)]

    def _events(self) -> Iterator[Report | Swapped | Changed | None]:
        tail = Tail(self._settings, self._settings.deployments.events_topic)
        try:
            yield from map(read_event, tail.to_end())
        finally:
            tail.close()

    def change(self, model: str, action: str, decide: Decide) -> Deployment:
        """Change what is deployed of a model, if nobody else does meanwhile.

        The change and its entry in the history are one transaction. One whose outcome stays
        unknown (a broker died over it) is looked up and, if it is not there, written again.

        Raises:
            ChangedMeanwhileError: somebody else has changed it since it was read here.
            BrokerError: Kafka does not take it.
        """
        return _Change(self._settings, model, action, decide).made()

    def note(self, event: Changed | Swapped) -> None:
        """Add an event that changes nothing: something was refused.

        Raises:
            BrokerError: Kafka does not take it.
        """
        producer = Producer(self._settings.kafka)
        try:
            record = event_record(self._settings, event.model_dump_json().encode())
            send(producer, [record])
        finally:
            producer.close()


class _Change:
    """One change on its way, through as many tries as it takes."""

    def __init__(self, settings: Settings, model: str, action: str, decide: Decide) -> None:
        self._settings = settings
        self._model = model
        self._action = action
        self._decide = decide
        self._log = structlog.get_logger("deployments")
        self._before: Deployment | None = None
        self._wanted: Deployment | None = None

    def made(self) -> Deployment:
        deadline = monotonic() + _TRY_FOR_S
        while True:
            try:
                return self._tried()
            except BrokerError as error:
                if not error.retriable or monotonic() > deadline:
                    raise
                self._log.warning(
                    "writing what is deployed failed, looking again", error=str(error)
                )
            if self._wanted is not None:
                self._let_others_end()

    def _tried(self) -> Deployment:
        settings = self._settings
        writer = Producer(settings.kafka, transactional_id=_transactional_id(settings))
        try:
            found = self._found()
            if self._wanted is None:
                self._before = found
                self._wanted = self._decide(found)
            elif found == self._wanted:
                return self._wanted  # a try before has succeeded after all
            elif found != self._before:
                raise _meanwhile(self._model, found)
            self._write(writer, self._wanted)
            return self._wanted
        finally:
            writer.close(timeout=0)

    def _found(self) -> Deployment | None:
        tail = Tail(self._settings, self._settings.deployments.topic)
        try:
            return deployed(tail).get(self._model)
        finally:
            tail.close()

    def _write(self, writer: Producer, wanted: Deployment) -> None:
        entry = Changed(
            at=wanted.at,
            model=self._model,
            action=self._action,
            by=wanted.by,
            reason=wanted.reason,
            before=self._before,
            after=wanted,
        )
        topic = self._settings.deployments.topic
        record = _record(topic, self._model.encode(), wanted.written())
        writer.begin()
        event = event_record(self._settings, entry.model_dump_json().encode())
        send(writer, [record, event])
        writer.commit({}, group_metadata(""))

    def _let_others_end(self) -> None:
        """Who has refused us writes just now: give them time, instead of refusing them in turn.

        Raises:
            ChangedMeanwhileError: they have written.
        """
        deadline = monotonic() + _LET_OTHERS_END_S
        while monotonic() < deadline:
            try:
                found = self._found()
            except BrokerError:
                return  # it was no other writer: the broker is not there
            if found == self._wanted:
                return
            if found != self._before:
                raise _meanwhile(self._model, found)
            time.sleep(_LOOK_EVERY_S)


def deployed(tail: Tail) -> dict[str, Deployment]:
    """Read what is deployed, up to the end as of now; a null value takes a model out."""
    found: dict[str, Deployment] = {}
    for record in tail.to_end():
        model = (record.key or b"").decode(errors="replace")
        deployment = Deployment.read(record.value)
        if deployment is not None:
            found[model] = deployment
        elif record.value is None:
            found.pop(model, None)
    return found


def promoting(version: str, *, by: str, reason: str = "", expected: str | None = None) -> Decide:
    """Put a version into service; what went on beside the one before ends.

    Args:
        version: that is to serve.
        by: who says so.
        reason: why.
        expected: the version that must be serving now; any if left out.
    """

    def decide(found: Deployment | None) -> Deployment:
        if expected is not None and (found is None or found.champion != expected):
            raise _meanwhile(None, found, expected)
        before = found.champion if found is not None else None
        previous = before if before != version or found is None else found.previous
        return Deployment(champion=version, previous=previous, by=by, reason=reason, at=now())

    return decide


def rolling_back(*, by: str, reason: str = "", expected: str | None = None) -> Decide:
    """End what goes on beside the champion; if nothing does, go back to the version before it."""

    def decide(found: Deployment | None) -> Deployment:
        if found is None:
            raise ChangedMeanwhileError("nothing is deployed, so there is nothing to go back to")
        if expected is not None and found.champion != expected:
            raise _meanwhile(None, found, expected)
        kept = {"by": by, "reason": reason, "at": now()}
        if found.candidate is not None:
            return Deployment(champion=found.champion, previous=found.previous, **kept)
        if found.previous is None:
            message = f"there is no version before {found.champion} to go back to"
            raise ChangedMeanwhileError(message)
        return Deployment(champion=found.previous, previous=found.champion, **kept)

    return decide


def event_record(settings: Settings, value: bytes | None, key: str | None = None) -> OutRecord:
    """Make a record for the events topic; without a key it stays, with one the last of it does."""
    named = (key or f"event/{uuid4()}").encode()
    return _record(settings.deployments.events_topic, named, value)


def _record(topic: str, key: bytes, value: bytes | None) -> OutRecord:
    return OutRecord(topic, key, value, (), None, TopicPartition(topic, 0))


def send(producer: Producer, records: list[OutRecord]) -> None:
    """Send and wait; each acknowledgement is looked at.

    Raises:
        BrokerError: one did not come.
    """
    pending: list[Pending] = [producer.append(record, 0) for record in records]
    producer.flush()
    for one in pending:
        failure = one.failure
        if isinstance(failure, BrokerError):
            raise failure
        if failure is not None:
            raise BrokerError(f"writing to {one.record.topic}: {failure}", retriable=False)


def _meanwhile(
    model: str | None, found: Deployment | None, expected: str | None = None
) -> ChangedMeanwhileError:
    of = f"{model}: " if model else ""
    wanted = f"version {expected} was expected to serve; " if expected is not None else ""
    if found is None:
        return ChangedMeanwhileError(f"{of}{wanted}nothing is deployed; nothing was written")
    return ChangedMeanwhileError(
        f"{of}{wanted}changed meanwhile by {found.by or 'nobody who says so'}: {found.told()}; "
        "nothing was written"
    )


def _transactional_id(settings: Settings) -> str:
    return f"{settings.deployments.topic}-writer"
