"""kafka-python's errors as streamer's."""

from kafka import errors

from streamer.errors import BrokerError

RECORD_FAULTS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidTimestampError,
    errors.InvalidRecordError,
    errors.CorruptRecordError,
)
"""What the broker or the client refuses for a record's own sake."""

FENCED = (
    errors.CommitFailedError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
    errors.RebalanceInProgressError,
    errors.ProducerFencedError,
    errors.InvalidProducerEpochError,
)
"""What a transaction meets whose member or producer has been replaced meanwhile: what is still
ours is published again under the new one."""

_OVER_WITH_THE_PRODUCER = (
    *FENCED,
    errors.IllegalStateError,
    errors.InvalidProducerIdMappingError,
    errors.InvalidTxnStateError,
    errors.OutOfOrderSequenceNumberError,
    errors.TransactionAbortableError,
    errors.TransactionAbortedError,
    errors.UnknownProducerIdError,
)
"""What ends one producer, or one transaction of it, and nothing else."""

_HINTS: dict[type[Exception], str] = {
    errors.TopicAuthorizationFailedError: "the principal lacks a right on the topic: READ where it "
    "is read, WRITE where it is written (kafka-acls.sh --add --allow-principal User:… "
    "--operation Read|Write --topic {name})",
    errors.GroupAuthorizationFailedError: "the principal lacks READ on the consumer group "
    "(kafka-acls.sh --add --allow-principal User:… --operation Read --group {name})",
    errors.TransactionalIdAuthorizationFailedError: "the principal lacks WRITE on the "
    "transactional id (kafka-acls.sh --add --allow-principal User:… --operation Write "
    "--transactional-id {name} --resource-pattern-type prefixed)",
    errors.ClusterAuthorizationFailedError: "the principal lacks a right on the cluster (CREATE to "
    "make topics: kafka-acls.sh --add --allow-principal User:… --operation Create --topic {name})",
    errors.UnknownTopicOrPartitionError: "the topic does not exist",
    errors.FencedInstanceIdError: "another process uses the same group_instance_id",
}


def _name(error: Exception, doing: str) -> str:
    """Say what an error is about: its own words, or the last of what was being done."""
    told = error.args[0] if error.args else None
    names = sorted(map(str, told)) if isinstance(told, set | frozenset | list | tuple) else [told]
    if told and all(isinstance(name, str) and " " not in name for name in names):
        return ", ".join(str(name) for name in names)
    last = doing.rpartition(" ")[2]
    return last if " " in doing else "NAME"


def broker_error(error: Exception, doing: str) -> BrokerError:
    """Translate an error of the client, saying what was being done."""
    retriable = bool(getattr(error, "retriable", False)) or isinstance(
        error, errors.RetriableError | errors.KafkaTimeoutError
    )
    hint = next((text for kind, text in _HINTS.items() if isinstance(error, kind)), None)
    if hint is not None:
        hint = hint.format(name=_name(error, doing))
    kind = type(error).__name__
    told = str(error).removeprefix(kind).removeprefix(": ")
    detail = hint or f"{kind}: {told}".removesuffix(": ")
    return BrokerError(f"{doing}: {detail}", retriable=retriable)


def producer_error(error: Exception, doing: str) -> BrokerError:
    """Translate an error of a producer: what a new producer may get over is retriable.

    The bare `KafkaError` is what the client raises of a producer that has failed before: the
    cause itself is met again, by its own name, with the next producer if it lasts.
    """
    found = broker_error(error, doing)
    if isinstance(error, _OVER_WITH_THE_PRODUCER) or type(error) is errors.KafkaError:
        found.retriable = True
    return found
