from streamer.batch import BatchBounds, Ceiling


def test_half_of_the_batch_that_found_no_memory_is_tried_next() -> None:
    ceiling = Ceiling(BatchBounds(32, 4096))
    ceiling.ran_out(3000)
    assert ceiling.bounds == BatchBounds(32, 1500)
    assert ceiling.lowered


def test_a_smaller_batch_that_fails_never_raises_the_bound() -> None:
    ceiling = Ceiling(BatchBounds(32, 4096))
    ceiling.ran_out(1000)
    ceiling.ran_out(4000)
    assert ceiling.bounds.cost == 500


def test_the_bound_recovers_slowly_and_never_beyond_what_was_configured() -> None:
    ceiling = Ceiling(BatchBounds(32, 4096))
    ceiling.ran_out(4096)
    for _ in range(255):
        ceiling.ran()
    assert ceiling.bounds.cost == 2048
    ceiling.ran()
    assert 2048 < ceiling.bounds.cost < 4096
    for _ in range(256 * 10):
        ceiling.ran()
    assert ceiling.bounds.cost == 4096
    assert not ceiling.lowered
