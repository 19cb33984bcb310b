"""A membership as librdkafka packs it, as kafka-python names its parts."""

import struct

from confluent_kafka import Consumer as Client
from kafka.structs import ConsumerGroupMetadata

_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("=i")


def membership_of(client: Client, group: str) -> ConsumerGroupMetadata:
    """Give a client's membership as it is this moment; of one that closes, that of nobody."""
    try:
        metadata = client.consumer_group_metadata()
    except RuntimeError:
        return ConsumerGroupMetadata(group)
    return unpacked(metadata)


def unpacked(metadata: bytes) -> ConsumerGroupMetadata:
    """Read a membership: the broker fences by its name and generation, so both must be known.

    Raises:
        ValueError: this version of librdkafka packs it otherwise.
    """
    if not metadata.startswith(_MAGIC):
        message = (
            f"confluent-kafka packs memberships as {metadata[:8]!r}; streamer knows {_MAGIC!r}"
        )
        raise ValueError(message)
    at = len(_MAGIC)
    (generation,) = _GENERATION.unpack_from(metadata, at)
    group, member, rest = metadata[at + _GENERATION.size :].split(b"\0", 2)
    instance = None if rest[:1] == b"\1" else rest[1:].removesuffix(b"\0").decode()
    return ConsumerGroupMetadata(group.decode(), generation, member.decode(), instance)


def packed(membership: ConsumerGroupMetadata) -> bytes:
    """Write a membership as a transaction takes it."""
    parts = [membership.group_id, membership.member_id or ""]
    texts = b"".join(part.encode() + b"\0" for part in parts)
    instance = membership.group_instance_id
    tail = b"\1" if instance is None else b"\0" + instance.encode() + b"\0"
    return _MAGIC + _GENERATION.pack(membership.generation_id) + texts + tail
