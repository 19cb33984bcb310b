"""Bytewax, in batches that it collects; its offsets live in its own snapshots.

`bytewax_flow.py SERVERS SOURCE SINK READY WORK`
"""

import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main
from work import work_of

_RECORDS = 256


def main(servers: str, source: str, sink: str, ready: str, told: str) -> None:
    """Answer records until terminated."""
    work = work_of(told)
    flow = Dataflow("flow")
    came = kop.input("in", flow, brokers=[servers], topics=[source], batch_size=_RECORDS)
    keyed = op.key_on("one", came.oks, lambda _message: "all")
    batches = op.collect("collect", keyed, timeout=timedelta(milliseconds=20), max_size=_RECORDS)

    def answered(entry: tuple[str, list[object]]) -> list[object]:
        messages = entry[1]
        found = work.found_alike([message.value for message in messages])
        return [
            KafkaSinkMessage(message.key, work.written(one))
            for message, one in zip(messages, found, strict=True)
        ]

    kop.output("out", op.flat_map("answer", batches, answered), brokers=[servers], topic=sink)
    Path(ready).touch()
    cluster_main(flow, [], 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
