"""The checker itself: a good history passes, and each promise that is broken by hand is noticed."""

import random
from collections import Counter

import pytest

from tests.support.histories.history_checker import Promises, Verdict, check
from tests.support.histories.recorded import (
    Activated,
    Appended,
    ClockSet,
    Ending,
    History,
    ItemChanged,
    Published,
    ReadBack,
    Recommended,
    Record,
    Row,
    StoreLost,
    UserDeleted,
)

LIKED = Row("u1", "i1", 1.0, 101.0)
AGAIN = Row("u1", "i1", 2.0, 100.0, "play")
HIDDEN = Row("u1", "i2", 1.0, 102.0, "hide")


def verdict_of(*records: Record, archive: tuple[Row, ...] | None = None, waiting: int = 0) -> Verdict:
    """Of records that took one moment each, in their order, and of what was learned in the end."""
    ending = None if archive is None else Ending(Counter(row.timestamp for row in archive), waiting)
    promises = Promises(lambda item_id: f"g{int(item_id[1:]) % 2}", full_every_s=100.0)
    return check(History(list(records), ending), promises)


def at(moment: int) -> dict[str, float]:
    return {"began": float(moment), "ended": moment + 0.5}


def sent(moment: int, *rows: Row, **named) -> Appended:
    return Appended(**at(moment), rows=rows, **named)


def answered(moment: int, *items: str, version: str = "1", **named) -> Recommended:
    return Recommended(**at(moment), user_id="u1", items=items, version=version, **named)


def read(moment: int, *rows: Row) -> ReadBack:
    return ReadBack(**at(moment), user_id="u1", rows=rows)


def deleted(moment: int) -> UserDeleted:
    return UserDeleted(**at(moment), user_id="u1")


def item(moment: int, *, available: bool) -> ItemChanged:
    return ItemChanged(**at(moment), item_id="i7", available=available)


def published(moment: int, version: str, *learned: Row, parent: str | None = None, **named) -> Published:
    about = {"mode": "incremental", "accepted": True, "at_s": float(moment), **named}
    return Published(
        **at(moment), version=version, parent=parent, learned=Counter(row.timestamp for row in learned), **about
    )


def emptied(moment: int, base: str | None) -> StoreLost:
    return StoreLost(**at(moment), base=base)


GOOD = [
    published(0, "1", mode="full"),
    sent(1, LIKED, AGAIN),
    answered(2, "i3", "i4", "i2"),
    read(3, LIKED, AGAIN),
    sent(4, HIDDEN),
    answered(5, "i3", "i4", "i5"),
    published(6, "2", LIKED, AGAIN, HIDDEN, parent="1"),
    item(7, available=False),
    answered(8, "i3", version="2"),
    item(9, available=True),
    answered(10, "i7", version="2"),
    Activated(**at(11), version="1"),
    answered(12, "i3", version="1"),
    Activated(**at(13), version=None),
    answered(14, "i3", version="2"),
    published(100, "3", LIKED, AGAIN, HIDDEN, parent="2", mode="full"),
]


def test_a_good_history_passes():
    verdict = verdict_of(*GOOD, archive=(LIKED, AGAIN, HIDDEN))

    assert verdict == ([], [])


BAD = {
    "nothing is lost": ([sent(1, LIKED)], ()),
    "learned once": ([sent(1, LIKED)], (LIKED, LIKED)),
    "nothing is made up": ([], (LIKED,)),
    "what was refused is not there": ([sent(1, LIKED, outcome="refused")], (LIKED,)),
    "who was deleted is forgotten": ([sent(1, LIKED), deleted(2)], (LIKED,)),
    "own writes are excluded": ([sent(1, LIKED), answered(2, "i1")], (LIKED,)),
    "read back whole": ([sent(1, LIKED, AGAIN), read(2, LIKED)], (LIKED, AGAIN)),
    "read back once": ([sent(1, LIKED), read(2, LIKED, LIKED)], (LIKED,)),
    "read back newest first": ([sent(1, LIKED, AGAIN), read(2, AGAIN, LIKED)], (LIKED, AGAIN)),
    "withdrawn items stay away": ([item(1, available=False), answered(2, "i7")], ()),
    "versions only rise": ([answered(1, version="2"), answered(2, version="1")], ()),
    "a chosen version serves": ([Activated(**at(1), version="1"), answered(2, version="2")], ()),
    "what is hidden draws in nothing": ([answered(1, "i3"), sent(2, HIDDEN), answered(3, "i4")], (HIDDEN,)),
    "full trainings keep to the schedule": ([published(0, "1", mode="full"), published(99, "2", mode="full")], ()),
    "trainings have news": ([published(1, "1"), published(2, "2", parent="1")], ()),
}


@pytest.mark.parametrize("promise", BAD)
def test_each_promise_that_is_broken_is_noticed(promise):
    records, archive = BAD[promise]

    assert verdict_of(*records, archive=archive).broken() == {promise}


def test_what_waits_at_the_end_is_noticed():
    assert verdict_of(archive=(), waiting=-3).broken() == {"all is learned in the end"}


def test_what_nobody_had_learned_may_go_with_the_store_and_is_named():
    verdict = verdict_of(published(0, "1"), sent(1, LIKED), emptied(2, "1"), answered(3, "i1"), archive=())

    assert verdict.violations == []
    assert [each.promise for each in verdict.excused] == ["nothing is lost", "own writes are excluded"]


def test_what_was_learned_and_what_came_later_may_not():
    records = [sent(1, LIKED), published(2, "1", LIKED), emptied(3, "1"), sent(4, AGAIN), answered(5, "i1")]
    verdict = verdict_of(*records, archive=())

    assert [each.promise for each in verdict.violations] == ["nothing is lost"] * 2 + ["own writes are excluded"] * 2
    assert verdict.excused == []


def test_a_copy_of_the_store_has_lost_only_what_came_after_it():
    copied = StoreLost(began=4.0, ended=4.5, base=None, since=2.0)
    verdict = verdict_of(sent(1, LIKED), sent(3, AGAIN), copied, archive=())

    assert [each.seen.startswith(str(LIKED)) for each in verdict.violations] == [True]
    assert [each.seen.startswith(str(AGAIN)) for each in verdict.excused] == [True]


@pytest.mark.parametrize(("learned", "broken"), [(True, {"withdrawn items stay away"}), (False, set())])
def test_a_withdrawn_item_that_a_version_knew_of_stays_away_when_the_store_is_emptied(learned, broken):
    versions = [published(2, "1")] if learned else []
    verdict = verdict_of(item(1, available=False), *versions, emptied(3, "1"), answered(4, "i7"))

    assert verdict.broken() == broken


def test_a_row_that_was_sent_twice_counts_twice_only_where_the_store_lost_its_id_between():
    twice = [sent(1, LIKED, outcome="unknown"), sent(5, LIKED)]

    assert verdict_of(*twice, archive=(LIKED, LIKED)).broken() == {"learned once"}
    assert verdict_of(twice[0], emptied(3, None), twice[1], archive=(LIKED, LIKED)).violations == []


def test_what_was_never_acknowledged_may_be_there_or_not():
    unanswered = sent(1, LIKED, outcome="unknown")

    assert verdict_of(unanswered, archive=(LIKED,)) == verdict_of(unanswered, archive=()) == ([], [])


def test_concurrent_calls_may_have_happened_in_either_order():
    during = Appended(began=1.0, ended=9.0, rows=(LIKED,))
    verdict = verdict_of(answered(2, "i1"), read(3), read(4, LIKED), during, archive=(LIKED,))

    assert verdict == ([], [])


def test_a_clock_that_was_set_excuses_an_early_full_training():
    early = [published(0, "1", mode="full"), ClockSet(**at(1), by_s=900.0), published(2, "2", mode="full")]

    assert verdict_of(*early).violations == []


def test_records_in_any_order_of_unrelated_users_do_not_matter():
    others = [sent(20 + number, Row(f"u{number}", "i1", 1.0, 500.0 + number)) for number in range(5, 9)]
    random.Random(1).shuffle(others)

    assert verdict_of(*GOOD, *others).violations == []
