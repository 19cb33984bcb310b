from types import SimpleNamespace

import pytest
from kafka import TopicPartition, errors
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager

from streamer.broker import retries
from streamer.broker.retries import retry_soon


@pytest.fixture
def slept(monkeypatch):
    found = []
    monkeypatch.setattr(retries, "sleep", found.append)
    return found


@pytest.fixture
def manager():
    made = TransactionManager(transactional_id="t", api_version=(3, 9))
    made.set_producer_id_and_epoch(ProducerIdAndEpoch(1, 0))
    made._current_state = made._current_state.READY
    made.begin_transaction()
    made.maybe_add_partition_to_transaction(TopicPartition("answers", 0))
    return made


def asked(manager):
    return manager.next_request_handler(has_incomplete_batches=False)


def refuse(handler):
    results = [("answers", [(0, errors.ConcurrentTransactionsError.errno)])]
    handler.handle_response(SimpleNamespace(results_by_topic_v3_and_below=results))


def ours(manager):
    retry_soon(SimpleNamespace(_transaction_manager=manager, config={"retry_backoff_ms": 10}))


def test_the_client_pauses_before_each_further_try_and_ours_before_it_gives_the_request(
    manager, slept
):
    handler = asked(manager)
    refuse(handler)
    again = asked(manager)
    assert again is handler
    assert again.is_retry  # for which the client sleeps
    ours(manager)
    refuse(handler)
    assert asked(manager) is handler
    assert not handler.is_retry
    assert slept == [0.0005]


def test_pauses_grow_until_they_are_the_clients(manager, slept):
    ours(manager)
    handler = asked(manager)
    told = []
    for _ in range(7):
        refuse(handler)
        told.append(asked(manager).is_retry)
    assert slept == [0.0005, 0.001, 0.002, 0.004, 0.008]
    assert told == [False] * 5 + [True] * 2


def test_a_first_try_waits_for_nothing(manager, slept):
    ours(manager)
    assert not asked(manager).is_retry
    assert asked(manager) is None
    assert slept == []
