from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.items import at, record

from streamer.config.topology import WaveLimits
from streamer.consume import Gatherer

POLLS = st.lists(
    st.dictionaries(st.integers(0, 3), st.integers(0, 6), max_size=4), min_size=1, max_size=8
)


def limits(most=10, most_bytes=10**6):
    return WaveLimits(max_records=most, max_bytes=most_bytes)


def gatherer(most=10, most_bytes=10**6, **options):
    return Gatherer(
        limits(most, most_bytes), lambda found: [len(one.value or b"") for one in found], **options
    )


def held(most=10, **counts):
    """Make a gatherer that holds so many records by partition: p0=3, p1=1."""
    made = gatherer(most)
    for name, number in counts.items():
        partition = int(name[1:])
        made.add(at(partition), 1, [record(n, partition) for n in range(number)])
    return made


def offsets(wave):
    return {
        partition.partition: [item.record.offset for item in part.items]
        for partition, part in wave.slices.items()
    }


@given(
    POLLS,
    st.integers(1, 9),
    st.integers(1, 60),
    st.lists(st.integers(0, 40), max_size=9),
    st.lists(st.integers(0, 80), min_size=1, max_size=5),
)
def test_waves_hold_every_record_once_in_order_and_within_limits(
    polls, most, most_bytes, sizes, budgets
):
    made = gatherer(most, most_bytes)
    ends = dict.fromkeys(range(4), 0)
    seen = {partition: [] for partition in range(4)}
    positions = {}

    def take(wave):
        cost = sum(len(item.record.value) for item in wave.items)
        assert wave.cost_bytes == cost
        assert len(wave.items) <= most
        assert len(wave.items) <= 1 or cost <= min(most_bytes, budget)
        for partition, part in wave.slices.items():
            found = [item.record.offset for item in part.items]
            seen[partition.partition] += found
            assert part.position > positions.get(partition, -1)
            assert not found or part.position == found[-1] + 1
            positions[partition] = part.position

    numbers = count()
    for poll, budget in zip(polls, budgets * len(polls), strict=False):
        for partition, number in poll.items():
            end = ends[partition] + number
            made.add(
                at(partition),
                1,
                [
                    record(
                        n, partition, value=b"x" * (sizes or [1])[next(numbers) % len(sizes or [1])]
                    )
                    for n in range(ends[partition], end)
                ],
            )
            ends[partition] = end
        if made:
            take(made.cut(budget))
    budget = 10**6
    while made:
        take(made.cut(budget))
    assert seen == {partition: list(range(end)) for partition, end in ends.items()}
    assert (made.records, made.cost_bytes, made.since) == (0, 0, None)


def test_every_partition_with_records_has_its_share():
    made = held(6, p0=20, p1=20, p2=1)
    assert {p: len(found) for p, found in offsets(made.cut(10**6)).items()} == {0: 3, 1: 2, 2: 1}


def test_partitions_without_records_take_no_share():
    made = held(10, p0=0, p1=50, p2=0, p3=50, p4=0)
    assert {p: len(found) for p, found in offsets(made.cut(10**6)).items()} == {1: 5, 3: 5}


def test_with_fewer_places_than_partitions_all_have_their_turn():
    made = held(1, p0=9, p1=9, p2=9)
    turns = [next(iter(offsets(made.cut(10**6)))) for _ in range(6)]
    assert sorted(turns) == [0, 0, 1, 1, 2, 2]


def test_a_record_that_passes_every_limit_goes_alone():
    made = gatherer(10, 5)
    made.add(at(0), 1, [record(0, value=b"x" * 50), record(1)])
    assert made.next_cost_bytes() == 50
    assert offsets(made.cut(1)) == {0: [0]}
    assert offsets(made.cut(0)) == {0: [1]}


def test_the_record_that_is_asked_for_is_the_one_that_goes_first():
    made = gatherer(1)
    for partition in range(3):
        made.add(at(partition), 1, [record(0, partition, value=b"x" * (partition + 1))])
    for _ in range(3):
        asked = made.next_cost_bytes()
        assert made.cut(10**6).cost_bytes == asked
    assert made.next_cost_bytes() == 0


def test_a_drained_partition_is_committed_up_to_where_it_is_read():
    made = held(2, p0=3)
    made.moved(at(0), 1, 7)  # four offsets behind the third record hold none
    first, second = made.cut(10**6), made.cut(10**6)
    assert first.slices[at(0)].position == 2
    assert second.slices[at(0)].position == 7
    assert not made


def test_a_position_that_moves_without_records_makes_an_empty_slice_once():
    made = gatherer()
    made.moved(at(0), 1, 5)
    assert not made  # where reading begins is committed already
    made.moved(at(0), 1, 9)
    assert made
    wave = made.cut(10**6)
    assert wave.slices[at(0)].position == 9
    assert wave.items == []
    assert not made


def test_a_position_never_goes_back():
    made = held(p0=3)
    made.moved(at(0), 1, 1)
    assert made.cut(10**6).slices[at(0)].position == 3


def test_partitions_that_are_no_longer_ours_are_forgotten():
    made = held(p0=3, p1=2)
    made.keep_only({at(1): 1})
    assert made.records == 2
    assert offsets(made.cut(10**6)) == {1: [0, 1]}
    made.keep_only({})
    assert made.cost_bytes == 0


def test_records_of_another_epoch_replace_those_read_before():
    made = held(p0=3)
    made.add(at(0), 2, [record(1)])
    wave = made.cut(10**6)
    assert offsets(wave) == {0: [1]}
    assert wave.slices[at(0)].epoch == 2
    assert (made.records, made.cost_bytes) == (0, 0)


def test_it_is_full_by_records_by_bytes_and_by_pace():
    assert held(3, p0=3).full
    assert not held(4, p0=3).full
    by_bytes = gatherer(10, 4)
    by_bytes.add(at(0), 1, [record(0, value=b"four")])
    assert by_bytes.full
    pace = [2]
    by_pace = gatherer(pace=lambda: pace[0])
    by_pace.add(at(0), 1, [record(0), record(1), record(2)])
    assert by_pace.full
    assert len(by_pace.cut(10**6).items) == 2
    pace[0] = 5
    assert not by_pace.full


def test_a_wave_was_born_when_its_first_record_was_read():
    clock = iter([10.0, 11.0, 12.0, 13.0])
    made = gatherer(clock=clock.__next__)
    made.add(at(0), 1, [record(0), record(1)])
    made.add(at(1), 1, [record(0, 1)])
    assert made.since == 10.0
    assert made.cut(10**6).born == 10.0
    assert made.since is None


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_wave_may_be_limited_to_some_records_of_one_partition(most):
    made = held(10, p0=5, p1=5)
    wave = made.cut(10**6, only=at(1), most=most)
    assert offsets(wave) == {1: list(range(most))}
    assert made.records == 10 - most


def test_waves_are_numbered():
    made = held(1, p0=3)
    assert [made.cut(10**6).number for _ in range(3)] == [0, 1, 2]
