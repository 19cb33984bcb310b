"""The same over librdkafka, by confluent-kafka: the extra `librdkafka`."""

from streamer.broker.librdkafka.consumer import Consumer
from streamer.broker.librdkafka.producer import Producer

__all__ = ["Consumer", "Producer"]
