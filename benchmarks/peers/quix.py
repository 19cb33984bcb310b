"""Quix Streams, a record at a time, as its tutorials have it; at-least-once.

`quix.py SERVERS SOURCE SINK READY MODEL`
"""

import sys
from pathlib import Path

from quixstreams import Application
from texts import Embedder, answer


def main(servers: str, source: str, sink: str, ready: str, model: str) -> None:
    """Answer records until terminated."""
    embedder = Embedder(model)
    embedder.embed([b"warm up"])
    application = Application(
        broker_address=servers,
        consumer_group=f"quix-{source}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
    )
    came = application.topic(source, value_deserializer="bytes", key_deserializer="bytes")
    goes = application.topic(sink, value_serializer="bytes", key_serializer="bytes")
    stream = application.dataframe(came)
    stream = stream.apply(lambda value: answer(embedder.embed([value])[0]))
    stream.to_topic(goes)
    Path(ready).touch()
    application.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
