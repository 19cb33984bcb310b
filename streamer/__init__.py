"""streamer: Kafka topics of images and text in, topics of predictions out."""

__version__ = "0.1.0"
