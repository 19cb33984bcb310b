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
    errors.TopicAuthorizationFailedError: "the principal lacks rights on the topic "
    "(READ and DESCRIBE on sources, WRITE and DESCRIBE on outputs)",
    errors.GroupAuthorizationFailedError: "the principal lacks READ on the consumer group",
    errors.TransactionalIdAuthorizationFailedError: "the principal lacks WRITE and DESCRIBE on "
    "the transactional id",
    errors.ClusterAuthorizationFailedError: "the principal lacks IDEMPOTENT_WRITE on the cluster",
    errors.UnknownTopicOrPartitionError: "the topic does not exist",
    errors.FencedInstanceIdError: "another process uses the same group_instance_id",
}


def broker_error(error: Exception, doing: str) -> BrokerError:
    """Translate an error of the client, saying what was being done."""
    retriable = bool(getattr(error, "retriable", False)) or isinstance(
        error, errors.RetriableError | errors.KafkaTimeoutError
    )
    hint = next((text for kind, text in _HINTS.items() if isinstance(error, kind)), None)
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
