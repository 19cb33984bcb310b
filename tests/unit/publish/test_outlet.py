"""What delivering says of records that are not written."""

from support.items import topology, wave

from streamer.encode import Encoder
from streamer.errors import BrokerError
from streamer.publish import Outlet


class Late:
    """A record whose acknowledgement comes after it was asked for once."""

    partition = 0

    def __init__(self, record):
        self.record = record
        self._failures = [BrokerError("a record is not acknowledged yet", retriable=True)]

    @property
    def failure(self):
        return self._failures.pop() if self._failures else None


class Writer:
    def partitions(self, topic):
        return 1

    def append(self, record, partition):
        return Late(record)

    def flush(self):
        raise BrokerError("not acknowledged in time", retriable=True)


def test_an_acknowledgement_that_comes_late_is_no_success_of_what_was_not_sent():
    encoder = Encoder(topology())
    [encoded] = encoder.encoded([wave({0: range(3)})])
    outlet = Outlet(topology(), encoder, {})
    outlet._suspects.split(encoded.items)  # so that they go in two groups
    sent, error = outlet.deliver(Writer(), encoded.items)
    assert len(sent) < len(encoded.items)
    assert error is not None
    assert error.retriable
