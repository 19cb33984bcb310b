"""The Kafka clients made typed: connections, a group's consumer, a producer, topics.

Everything below this room speaks of streamer's own records and errors; the clients' classes and
exceptions end here. Records are read and written by kafka-python or by librdkafka, behind the same
two classes (`ports.py`); all else is kafka-python's.
"""

from streamer.broker.admin import Admin
from streamer.broker.backoff import backoff
from streamer.broker.batches import Pending
from streamer.broker.certificates import certificates
from streamer.broker.connection import client_settings, wait_for_brokers
from streamer.broker.consumer import GroupConsumer, check_consumer_settings
from streamer.broker.failures import broker_error
from streamer.broker.lease import Lease
from streamer.broker.offsets import Note, group_metadata, no_note
from streamer.broker.opening import check_client, open_member, open_writer
from streamer.broker.originals import Originals
from streamer.broker.partitioner import partition_for
from streamer.broker.ports import Member, MissingPositionsError, OutOfRangeError, Sent, Writer
from streamer.broker.producer import Producer, check_producer_settings
from streamer.broker.reader import Reader

__all__ = [
    "Admin",
    "GroupConsumer",
    "Lease",
    "Member",
    "MissingPositionsError",
    "Note",
    "Originals",
    "OutOfRangeError",
    "Pending",
    "Producer",
    "Reader",
    "Sent",
    "Writer",
    "backoff",
    "broker_error",
    "certificates",
    "check_client",
    "check_consumer_settings",
    "check_producer_settings",
    "client_settings",
    "group_metadata",
    "no_note",
    "open_member",
    "open_writer",
    "partition_for",
    "wait_for_brokers",
]
