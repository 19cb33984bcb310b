"""Batches of records as the client's own reader finds them, and what to write into them."""

from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords

NOW = 1_700_000_000_000
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BYTES = st.none() | st.binary(max_size=300)


def read(batch):
    """Read what a batch of the producer's holds; it takes no more then."""
    batch.records.close()
    return [record for part in MemoryRecords(batch.records.buffer()) for record in part]
