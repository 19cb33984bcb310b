"""MLServer behind its own Kafka component: each record is a request, batches are adaptive.

Its consumer has no group and begins at the end of the topic, so records must come after it, and
nothing is delivered anew after a crash. The model runs in the server's process: with a worker
process of its own each batch is pickled there and back (PARALLEL_WORKERS=1 tries it).

`mlserver_kafka.py SERVERS SOURCE SINK READY WORK`
"""

import asyncio
import base64
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import TopicPartition
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse
from work import work_of

_MAX_BATCH = {"texts": 64, "classes": 8, "boxes": 8}
_MAX_BATCH_S = 0.02


class Runtime(MLModel):
    """The work, as MLServer has models."""

    async def load(self) -> bool:
        """Open the session."""
        self._told = str(self.settings.parameters.uri)
        self._work = work_of(self._told)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one batch, put together by MLServer."""
        values = StringCodec.decode_input(payload.inputs[0])
        if self._told.startswith("texts"):
            vectors = np.stack(self._work.found_alike([value.encode() for value in values]))
            output = NumpyCodec.encode_output("output", vectors)
        else:
            found = self._work.found([base64.b64decode(value) for value in values])
            answers = [self._work.written(one).decode() for one in found]
            output = StringCodec.encode_output("output", answers)
        return InferenceResponse(model_name=self.name, outputs=[output])


async def announced(server: Any, source: str, ready: Path) -> None:
    """Touch the file as soon as the model is loaded and the consumer knows where it begins."""
    kafka = server._kafka_server  # noqa: SLF001 - no public way to ask
    while not (hasattr(kafka, "_consumer") and kafka._consumer.assignment()):  # noqa: SLF001, ASYNC110
        await asyncio.sleep(0.05)
    await kafka._consumer.position(TopicPartition(source, 0))  # noqa: SLF001
    while not await server._data_plane.ready():  # noqa: SLF001, ASYNC110
        await asyncio.sleep(0.05)
    ready.touch()  # noqa: ASYNC240 - once


async def main(servers: str, source: str, sink: str, ready: str, told: str) -> None:
    """Answer records until terminated."""
    settings = Settings(
        host="127.0.0.1",
        http_port=0,
        grpc_port=0,
        metrics_endpoint=None,
        parallel_workers=int(os.environ.get("PARALLEL_WORKERS", "0")),
        kafka_enabled=True,
        kafka_servers=servers,
        kafka_topic_input=source,
        kafka_topic_output=sink,
    )
    model = ModelSettings(
        name="model",
        implementation=Runtime,
        max_batch_size=_MAX_BATCH[told.partition(":")[0].partition("-")[0]],
        max_batch_time=_MAX_BATCH_S,
        parameters=ModelParameters(uri=told),
    )
    server = MLServer(settings)
    for name in ("mlserver", "mlserver.kafka"):
        logging.getLogger(name).setLevel(logging.WARNING)
    announcing = asyncio.create_task(announced(server, source, Path(ready)))
    await server.start([model])
    await announcing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
