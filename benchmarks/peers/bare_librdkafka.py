"""Nothing but librdkafka: consume, produce, flush, commit; no model, no JSON, no transaction."""

import signal
import sys
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition


def main(servers: str, source: str, sink: str, ready: str) -> None:
    """Copy records until terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"bare-{source}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.max.bytes": 4 * 2**20,
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.subscribe([source])
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "linger.ms": 5,
            "batch.size": 256 * 2**10,
            "delivery.report.only.error": True,
            "on_delivery": refuse,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    Path(ready).touch()
    while True:
        messages = consumer.consume(1, 0.1)
        messages += consumer.consume(4095, 0) if messages else []
        ends: dict[tuple[str, int], int] = {}
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            ends[message.topic(), message.partition()] = message.offset() + 1
            producer.produce(sink, message.value(), message.key(), timestamp=message.timestamp()[1])
        if ends:
            producer.flush()
            positions = [TopicPartition(*at, offset) for at, offset in ends.items()]
            consumer.commit(offsets=positions, asynchronous=False)


def refuse(error: object, _message: object) -> None:
    """End at the first record that is not written."""
    raise RuntimeError(error)


main(*sys.argv[1:])
