from dataclasses import replace
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.batch import BatchBounds, planned, why_closed
from streamer.records import ModelInput

LENGTHS = st.integers(0, 40)
TEXTS = st.builds(
    lambda length, group: ModelInput({}, cost=length, group=group, length=length),
    LENGTHS,
    st.sampled_from(["a", "b", (3, 4)]),
)
PICTURES = st.builds(
    lambda cost: ModelInput({}, cost=cost, group=cost), st.sampled_from([10, 100, 400])
)
INPUTS = st.lists(TEXTS | PICTURES, max_size=60)
BOUNDS = st.builds(BatchBounds, st.integers(1, 12), st.integers(1, 500), st.booleans())


def padded_cost(inputs: list[ModelInput], batch: list[int]) -> int:
    return len(batch) * max(max(inputs[i].cost, inputs[i].length) for i in batch)


def padding(inputs: list[ModelInput], batch: list[int]) -> int:
    longest = max(inputs[index].length for index in batch)
    return sum(longest - inputs[index].length for index in batch)


@given(INPUTS, BOUNDS)
def test_every_input_is_in_one_batch(inputs, bounds):
    indices = [index for batch in planned(inputs, bounds) for index in batch]
    assert sorted(indices) == list(range(len(inputs)))


@given(INPUTS, BOUNDS)
def test_no_batch_passes_a_bound_but_a_single_input(inputs, bounds):
    for batch in planned(inputs, bounds):
        assert 1 <= len(batch) <= bounds.items
        assert len(batch) == 1 or padded_cost(inputs, batch) <= bounds.cost


@given(
    INPUTS, st.builds(BatchBounds, st.integers(1, 12), st.integers(1, 500), st.sampled_from([True]))
)
def test_nothing_is_padded_where_a_batch_is_of_one_length(inputs, bounds):
    assert not any(padding(inputs, batch) for batch in planned(inputs, bounds))


@given(INPUTS, BOUNDS)
def test_what_differs_in_shape_never_shares_a_batch(inputs, bounds):
    for batch in planned(inputs, bounds):
        assert len({inputs[index].group for index in batch}) == 1


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_full_batches_are_padded_no_more_than_in_any_other_order(size, number, data):
    lengths = data.draw(st.lists(LENGTHS, min_size=size * number, max_size=size * number))
    inputs = [ModelInput({}, cost=length, length=length) for length in lengths]
    batches = planned(inputs, BatchBounds(size, 10**9))
    other = data.draw(st.permutations(range(len(inputs))))
    naive = [other[at : at + size] for at in range(0, len(inputs), size)]
    assert len(batches) == len(naive)
    assert sum(padding(inputs, b) for b in batches) <= sum(padding(inputs, b) for b in naive)


def test_the_costliest_batch_goes_first():
    inputs = [ModelInput({}, cost=n, length=n) for n in (1, 9, 5, 2)]
    assert planned(inputs, BatchBounds(2, 100)) == [[1, 2], [3, 0]]


def test_nothing_makes_no_batch():
    assert planned([], BatchBounds(4, 100)) == []


@given(INPUTS, BOUNDS, st.integers(1, 200))
def test_weighing_padding_breaks_no_bound(inputs, bounds, overhead):
    weighed = replace(bounds, overhead=overhead)
    batches = planned(inputs, weighed)
    assert sorted(index for batch in batches for index in batch) == list(range(len(inputs)))
    for batch in batches:
        assert 1 <= len(batch) <= bounds.items
        assert len(batch) == 1 or padded_cost(inputs, batch) <= bounds.cost


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(1, 60), st.integers(1, 90))
def test_no_other_cut_costs_less(lengths, overhead, cost):
    inputs = [ModelInput({}, cost=length, length=length) for length in lengths]
    bounds = BatchBounds(4, cost, overhead=overhead)

    def price(batches):
        return sum(overhead + padded_cost(inputs, batch) for batch in batches)

    order = sorted(range(len(inputs)), key=lambda index: -lengths[index])
    cuts = (
        [order[a:b] for a, b in pairwise((0, *at, len(order)))]
        for many in range(len(order))
        for at in combinations(range(1, len(order)), many)
    )
    allowed = (
        batches
        for batches in cuts
        if all(len(b) == 1 or (len(b) <= 4 and padded_cost(inputs, b) <= cost) for b in batches)
    )
    assert price(planned(inputs, bounds)) == min(map(price, allowed))


def test_a_batch_says_why_it_holds_no_more():
    inputs = [ModelInput({}, cost=10, length=10)] * 3
    assert why_closed(inputs, BatchBounds(3, 1000)) == "full"
    assert why_closed(inputs, BatchBounds(9, 35)) == "cost"
    assert why_closed(inputs, BatchBounds(9, 1000)) == "wave"
