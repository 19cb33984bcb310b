from streamer.broker import backoff


def test_waits_grow_to_a_bound_and_never_vanish() -> None:
    for tries in range(200):
        longest = min(0.05 * 2**tries, 5.0)
        assert longest / 2 <= backoff(tries) <= longest


def test_no_two_replicas_wait_alike() -> None:
    assert len({backoff(5) for _ in range(20)}) > 10
