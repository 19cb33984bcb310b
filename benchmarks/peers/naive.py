"""A loop as it is written first: one record after the other, or the batches that polls give.

`naive.py SERVERS SOURCE SINK READY MODEL MODE`, MODE being `single`, `polled` (all that a poll
gives, up to 32 records, padded) or `sorted` (up to 256 records, in batches of 16 by length).
"""

import signal
import sys
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from texts import Embedder, answer

_POLLED = {"single": 1, "polled": 32, "sorted": 256}


def main(  # noqa: PLR0913, PLR0917 - the command line's arguments
    servers: str, source: str, sink: str, ready: str, model: str, mode: str
) -> None:
    """Answer records until terminated; at-least-once."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    embedder = Embedder(model)
    embedder.embed([b"warm up"])
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=f"{mode}-{source}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=_POLLED[mode],
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
    Path(ready).touch()
    while True:
        records = [record for part in consumer.poll(100).values() for record in part]
        if not records:
            continue
        values = [record.value for record in records]
        vectors = embedder.sorted(values, 16) if mode == "sorted" else embedder.embed(values)
        for record, vector in zip(records, vectors, strict=True):
            producer.send(sink, answer(vector), record.key, timestamp_ms=record.timestamp)
        producer.flush()
        consumer.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
