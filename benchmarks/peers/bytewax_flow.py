"""Bytewax, in batches that it collects; its offsets live in its own snapshots.

`bytewax_flow.py SERVERS SOURCE SINK READY MODEL`
"""

import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main
from texts import Embedder, answer

_ITEMS = 16


def main(servers: str, source: str, sink: str, ready: str, model: str) -> None:
    """Answer records until terminated."""
    embedder = Embedder(model)
    embedder.embed([b"warm up"])
    flow = Dataflow("texts")
    came = kop.input("in", flow, brokers=[servers], topics=[source], batch_size=256)
    keyed = op.key_on("one", came.oks, lambda _message: "all")
    batches = op.collect("collect", keyed, timeout=timedelta(milliseconds=20), max_size=256)

    def answered(entry: tuple[str, list[object]]) -> list[object]:
        messages = entry[1]
        vectors = embedder.sorted([message.value for message in messages], _ITEMS)
        return [
            KafkaSinkMessage(message.key, answer(vector))
            for message, vector in zip(messages, vectors, strict=True)
        ]

    kop.output("out", op.flat_map("embed", batches, answered), brokers=[servers], topic=sink)
    Path(ready).touch()
    cluster_main(flow, [], 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
