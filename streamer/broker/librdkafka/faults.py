"""librdkafka's errors as streamer's, by way of kafka-python's names for what brokers answer."""

from confluent_kafka import KafkaError, KafkaException
from kafka import errors

from streamer.broker.failures import FENCED, broker_error, producer_error
from streamer.errors import BrokerError

_FOR_GOOD = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own errors are named so
        KafkaError._INVALID_ARG,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
        KafkaError._CRIT_SYS_RESOURCE,  # noqa: SLF001
    }
)
"""What is no better with the next try."""


def error_of(raised: KafkaException) -> KafkaError:
    """Take the error out of what was raised."""
    return raised.args[0]  # type: ignore[no-any-return] # its stubs do not say


def named(error: KafkaError) -> Exception | None:
    """Give what kafka-python calls a broker's answer; None for what librdkafka says itself."""
    if error.code() <= 0:
        return None
    return errors.for_code(error.code())(error.str())  # type: ignore[no-any-return]


def fault(error: KafkaError, doing: str) -> BrokerError:
    """Translate an error of the consumer."""
    known = named(error)
    if known is not None:
        return broker_error(known, doing)
    return _own(error, doing)


def producer_fault(error: KafkaError, doing: str) -> BrokerError:
    """Translate an error of a producer: what a new producer may get over is retriable."""
    known = named(error)
    if known is None:
        return _own(error, doing)
    if isinstance(known, FENCED):
        return BrokerError(f"{doing}: {error.name()}: {error.str()}", retriable=True)
    return producer_error(known, doing)


def _own(error: KafkaError, doing: str) -> BrokerError:
    message = f"{doing}: {error.name().removeprefix('_')}: {error.str()}"
    return BrokerError(message, retriable=error.code() not in _FOR_GOOD)
