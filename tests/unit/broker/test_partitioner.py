import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import DefaultPartitioner

from streamer.broker import partition_for
from streamer.broker.partitioner import _hashed, _hashed_before
from streamer.records import OutRecord, TopicPartition

# What org.apache.kafka.common.utils.Utils.murmur2 gives, as Kafka's own UtilsTest has it.
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


class Cluster:
    """As much of the client's metadata as its own partitioner asks for."""

    def __init__(self, partitions):
        self._partitions = set(range(partitions))

    def topics(self):
        return {"out"}

    def partitions_for_topic(self, topic):
        return self._partitions

    available_partitions_for_topic = partitions_for_topic


def out(key, partition=0):
    return OutRecord("out", key, b"", (), None, TopicPartition("in", partition))


@pytest.mark.parametrize(("key", "hashed"), JAVA)
@pytest.mark.parametrize("partitions", [1, 7, 12, 1000])
def test_a_key_goes_where_the_java_client_sends_it(key, hashed, partitions):
    assert partition_for(out(key), partitions, "key") == (hashed & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=200), st.integers(1, 64))
def test_a_key_goes_where_the_python_client_sends_it(key, partitions):
    other = DefaultPartitioner().partition("out", None, key, None, None, Cluster(partitions))
    assert partition_for(out(key), partitions, "key") == other
    assert partition_for(out(key), partitions, "key") == other  # and again, from the cache


@given(st.none() | st.binary(), st.integers(0, 99), st.integers(1, 12))
def test_without_a_key_or_by_rule_the_source_partition_decides(key, partition, partitions):
    assert partition_for(out(key, partition), partitions, "source") == partition % partitions
    assert partition_for(out(None, partition), partitions, "key") == partition % partitions


def test_an_empty_key_is_a_key():
    assert partition_for(out(b"", 5), 1000, "key") == _hashed(b"") % 1000 != 5


def test_large_keys_are_not_kept():
    before = _hashed_before.cache_info().currsize
    partition_for(out(b"x" * 10_000), 3, "key")
    assert _hashed_before.cache_info().currsize == before
