"""Apache Kafka as a child process: its jars, a JRE to run them, and nothing to install by hand."""

from streamer.embedded.broker import EmbeddedKafka
from streamer.embedded.cluster import EmbeddedCluster
from streamer.embedded.jars import KAFKA_VERSION, class_path

__all__ = ["KAFKA_VERSION", "EmbeddedCluster", "EmbeddedKafka", "class_path"]
