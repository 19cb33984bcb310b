"""A loop as it is written first: one record after the other, or the batches that polls give.

`naive.py SERVERS SOURCE SINK READY WORK MODE`, MODE being `single`, `polled` (all that a poll
gives, up to 32 texts or 8 pictures, as one batch) or `sorted` (up to 256 records, in batches of
like ones).
"""

import signal
import sys
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from work import work_of

_POLLED = {"single": 1, "polled": 32, "sorted": 256}
_POLLED_PICTURES = 8
_MAX_BYTES = 16 * 2**20
_JOIN_MS = 2000
"""Long for a poll: kafka-python may forget a join that the end of a poll cuts short."""


def main(  # noqa: PLR0913, PLR0917 - the command line's arguments
    servers: str, source: str, sink: str, ready: str, told: str, mode: str
) -> None:
    """Answer records until terminated; at-least-once."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    work = work_of(told)
    most = _POLLED[mode] if told.startswith("texts") else min(_POLLED[mode], _POLLED_PICTURES)
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=f"{mode}-{source}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=most,
        max_partition_fetch_bytes=_MAX_BYTES,
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
    Path(ready).touch()
    while True:
        records = [record for part in consumer.poll(_JOIN_MS).values() for record in part]
        if not records:
            continue
        values = [record.value for record in records]
        answers = work.found_alike(values) if mode == "sorted" else work.found(values)
        for record, found in zip(records, answers, strict=True):
            producer.send(sink, work.written(found), record.key, timestamp_ms=record.timestamp)
        producer.flush()
        consumer.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
