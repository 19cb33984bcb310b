"""A test kit: topologies run in this process, without a broker.

The line is the daemon's own, from the poll to the commit; only Kafka is another one, in memory,
and a function may stand in a model's place.
"""

from streamer.testing.answers import DeadLetter, Prediction
from streamer.testing.kafka import FakeKafka
from streamer.testing.sessions import FakeModelError
from streamer.testing.topology import NotAnsweredError, TopologyTest

__all__ = [
    "DeadLetter",
    "FakeKafka",
    "FakeModelError",
    "NotAnsweredError",
    "Prediction",
    "TopologyTest",
]
