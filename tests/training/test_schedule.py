"""When to learn: the clocks and the threshold."""

import pytest

from recommender.training.schedule import Schedule

SCHEDULE = Schedule(incremental_every_s=30, full_every_s=1000, min_interactions=10)


@pytest.mark.parametrize(
    ("now", "unseen", "since_full", "mode"),
    [
        (29, 10, 10, None),
        (30, 9, 9, None),
        (30, 10, 10, "incremental"),
        (999, 10, 500, "incremental"),
        (1000, 10, 10, "full"),
        (1000, 0, 10, "full"),
        (1000, 0, 9, None),
    ],
)
def test_a_training_is_due_when_its_clock_has_run_and_enough_is_new(now, unseen, since_full, mode):
    assert SCHEDULE.due(now, 0, 0, unseen, since_full) == mode


def test_a_clock_that_is_off_never_runs_out():
    assert Schedule(None, None, 1).due(1e12, 0, 0, 1000, 1000) is None


def test_a_full_training_counts_for_the_other_clock_too():
    assert SCHEDULE.due(1020, 1000, 1000, 50, 50) is None


@pytest.mark.parametrize(("unseen", "since_full", "mode"), [(10, 9, "incremental"), (10, 10, "full"), (9, 9, None)])
def test_a_machine_whose_clock_was_set_back_does_not_wait_until_it_is_then_again(unseen, since_full, mode):
    assert SCHEDULE.due(1_000_000, 2_000_000, 2_000_000, unseen, since_full) == mode


def test_many_changes_of_items_are_learned_without_interactions():
    schedule = Schedule(30.0, 86_400.0, 100, changed_items=1000)

    assert schedule.due(1040, 1000, 1000, 0, 0, 999) is None
    assert schedule.due(1040, 1000, 1000, 0, 0, 1000) == "incremental"
    assert schedule.due(1020, 1000, 1000, 0, 0, 1000) is None
