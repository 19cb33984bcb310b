"""Nothing but the client: poll, send, flush, commit; no model, no JSON, no transaction."""

import signal
import sys
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

_JOIN_MS = 2000
"""Long for a poll: kafka-python may forget a join that the end of a poll cuts short."""


def main(servers: str, source: str, sink: str, ready: str) -> None:
    """Copy records until terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=f"bare-{source}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=4096,
        fetch_max_bytes=4 * 2**20,
    )
    producer = KafkaProducer(
        bootstrap_servers=servers, acks="all", linger_ms=5, batch_size=256 * 2**10
    )
    Path(ready).touch()
    while True:
        polled = consumer.poll(_JOIN_MS)
        if not polled:
            continue
        for records in polled.values():
            for record in records:
                producer.send(sink, record.value, record.key, timestamp_ms=record.timestamp)
        producer.flush()
        consumer.commit(
            {
                TopicPartition(at.topic, at.partition): OffsetAndMetadata(
                    records[-1].offset + 1, "", -1
                )
                for at, records in polled.items()
            }
        )


main(*sys.argv[1:])
