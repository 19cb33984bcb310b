"""Quix Streams, a record at a time, as its tutorials have it.

Its windows could make batches, but each of one key's records only.

`quix.py SERVERS SOURCE SINK READY WORK [COMMIT_S]`: at-least-once, or exactly-once with a
transaction so many seconds long at the most.
"""

import sys
from pathlib import Path
from typing import Any

from quixstreams import Application
from work import work_of

_MAX_BYTES = 16 * 2**20


def main(servers: str, source: str, sink: str, ready: str, told: str, *commit_s: str) -> None:
    """Answer records until terminated."""
    work = work_of(told)
    guarantee: dict[str, Any] = {}
    if commit_s:
        guarantee = {"processing_guarantee": "exactly-once", "commit_interval": float(*commit_s)}
    application = Application(
        broker_address=servers,
        consumer_group=f"quix-{source}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
        consumer_extra_config={"max.partition.fetch.bytes": _MAX_BYTES},
        **guarantee,
    )
    came = application.topic(source, value_deserializer="bytes", key_deserializer="bytes")
    goes = application.topic(sink, value_serializer="bytes", key_serializer="bytes")
    stream = application.dataframe(came)
    stream = stream.apply(lambda value: work.written(work.found([value])[0]))
    stream.to_topic(goes)
    Path(ready).touch()
    application.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
