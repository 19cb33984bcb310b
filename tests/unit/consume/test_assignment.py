import pytest
from support.cluster import Membership
from support.items import at, wave

from streamer.consume import Assignment, Commits


@pytest.fixture
def assignment():
    made = Assignment()
    made.assigned([at(0), at(1)])
    return made


def test_every_change_of_hands_raises_the_epoch(assignment):
    epochs = [assignment.epochs()[at(0)]]
    assignment.rewound(at(0))
    epochs.append(assignment.epochs()[at(0)])
    assignment.taken([at(0)])
    assert at(0) not in assignment.epochs()
    assignment.assigned([at(0)])
    epochs.append(assignment.epochs()[at(0)])
    assignment.assigned([at(0)])
    epochs.append(assignment.epochs()[at(0)])
    assert epochs == sorted(set(epochs))
    assert assignment.epochs()[at(1)] == 1


def test_what_is_not_ours_cannot_be_rewound(assignment):
    assignment.rewound(at(7))
    assert at(7) not in assignment.epochs()


def test_fresh_partitions_are_told_once(assignment):
    assert assignment.take_fresh() == {at(0), at(1)}
    assert assignment.take_fresh() == set()
    assignment.assigned([at(2)])
    assignment.taken([at(2)])
    assert assignment.take_fresh() == set()


def test_only_partitions_of_the_waves_that_are_ours_may_be_published(assignment):
    with assignment.publishing([wave({0: [1]}), wave({2: [1]})]) as permit:
        assert permit.epochs == {at(0): 1}


def test_a_revocation_waits_for_what_is_being_published_and_nothing_new_begins(assignment):
    with assignment.publishing([wave({0: [1]})]):
        assert assignment.closing([at(0)])
        assert not assignment.closing([at(1)])
        with assignment.publishing([wave({1: [1]})]) as behind:
            assert behind.epochs == {}
    assert not assignment.closing([at(0)])
    with assignment.publishing([wave({0: [1]})]) as permit:
        assert permit.epochs == {}


def test_a_partition_that_comes_back_is_open_again(assignment):
    assignment.closing([at(0)])
    assignment.taken([at(0)])
    assignment.assigned([at(0)])
    with assignment.publishing([wave({0: [1]})]) as permit:
        assert permit.epochs == {at(0): 2}


def test_the_gate_closes_also_behind_an_error(assignment):
    with pytest.raises(RuntimeError), assignment.publishing([wave({0: [1]})]):
        raise RuntimeError
    assert not assignment.closing([at(0)])


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def commits(now):
    return Commits(0.5, clock=lambda: now[0])


def test_positions_are_due_once_an_interval_or_when_idle(commits, now):
    commits.answered({at(0): (1, 5)})
    now[0] += 0.4
    assert commits.due({at(0): 1}, idle=False) == {}
    assert commits.waiting()
    commits.answered({at(0): (1, 6)})
    now[0] += 0.2
    assert commits.due({at(0): 1}, idle=False) == {at(0): (1, 6)}
    commits.ended(committed=True)
    assert not commits.waiting()
    assert commits.due({at(0): 1}, idle=True) == {}
    commits.answered({at(0): (1, 7)})
    assert commits.due({at(0): 1}, idle=True) == {at(0): (1, 7)}


def test_positions_of_other_epochs_are_forgotten(commits):
    commits.answered({at(0): (1, 5), at(1): (1, 6), at(2): (1, 7)})
    assert commits.due({at(0): 2, at(1): 1}, idle=True) == {at(1): (1, 6)}
    commits.ended(committed=True)
    assert not commits.waiting()


def test_a_position_never_goes_back_but_with_a_new_epoch(commits):
    commits.answered({at(0): (1, 5)})
    commits.answered({at(0): (1, 3)})
    assert commits.due({at(0): 1}, idle=True) == {at(0): (1, 5)}
    commits.answered({at(0): (1, 9)})
    commits.answered({at(0): (2, 3)})
    commits.answered({at(0): (1, 10)})
    assert commits.due({at(0): 2}, idle=True) == {at(0): (2, 3)}


def test_nothing_answered_is_nothing_due(commits):
    commits.answered({})
    assert commits.due({}, idle=True) == {}


def test_a_transaction_keeps_the_membership_it_began_with(assignment):
    with assignment.publishing([wave({0: [1]})]) as permit:
        assert permit.membership is None
    assignment.joined(first := Membership("me", 1))
    with assignment.publishing([wave({0: [1]})]) as permit:
        assignment.joined(second := Membership("me", 2))
        assert permit.membership is first
    with assignment.publishing([wave({0: [1]})]) as permit:
        assert permit.membership is second


def test_what_is_not_known_to_be_committed_is_told_when_partitions_leave(commits):
    assignment = Assignment(
        lambda epochs: {p: (o, "") for p, o in commits.unsettled(epochs).items()}
    )
    assignment.assigned([at(0), at(1), at(2)])
    commits.answered({at(0): (1, 5), at(1): (1, 6), at(2): (7, 1)})
    assert commits.due(assignment.epochs(), idle=True) == {at(0): (1, 5), at(1): (1, 6)}
    commits.answered({at(1): (1, 8)})  # while the commit before it is under way
    assert assignment.leaving([at(0), at(1), at(2)]) == {at(0): (5, ""), at(1): (8, "")}
    commits.ended(committed=True)
    assert assignment.leaving([at(0), at(1)]) == {at(1): (8, "")}


def test_what_a_commit_did_not_take_waits_again(commits):
    commits.answered({at(0): (1, 5)})
    commits.due({at(0): 1}, idle=True)
    commits.ended(committed=False)
    assert commits.committed == 0
    assert commits.due({at(0): 1}, idle=True) == {at(0): (1, 5)}
