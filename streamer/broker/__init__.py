"""kafka-python made typed: connections, a group's consumer, a producer, topics.

Everything below this room speaks of streamer's own records and errors; kafka-python's classes and
exceptions end here.
"""

from streamer.broker.admin import Admin
from streamer.broker.backoff import backoff
from streamer.broker.certificates import certificates
from streamer.broker.connection import client_settings, wait_for_brokers
from streamer.broker.consumer import (
    GroupConsumer,
    MissingPositionsError,
    OutOfRangeError,
    check_consumer_settings,
)
from streamer.broker.failures import broker_error
from streamer.broker.lease import Lease
from streamer.broker.offsets import Note, group_metadata, no_note
from streamer.broker.originals import Originals
from streamer.broker.partitioner import partition_for
from streamer.broker.producer import Pending, Producer, check_producer_settings
from streamer.broker.reader import Reader

__all__ = [
    "Admin",
    "GroupConsumer",
    "Lease",
    "MissingPositionsError",
    "Note",
    "Originals",
    "OutOfRangeError",
    "Pending",
    "Producer",
    "Reader",
    "backoff",
    "broker_error",
    "certificates",
    "check_consumer_settings",
    "check_producer_settings",
    "client_settings",
    "group_metadata",
    "no_note",
    "partition_for",
    "wait_for_brokers",
]
