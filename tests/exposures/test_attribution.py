"""Interactions are attributed to what was shown: once, and to the right exposure."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.exposures import Ledger, attribute
from recommender.exposures.attribution import CLOCK_SKEW_S, WINDOW_S
from recommender.stores.protocols import LogEntry, UserDeleted
from tests.support.exposures import NOW, clicked, entries, exposure, slow_attribution


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def attributed(ledger: Ledger, *events) -> list[tuple[str | None, int | None]]:
    first = ledger.offsets().log + 1
    log = [LogEntry(offset, event) for offset, event in enumerate(events, first)]
    found = attribute(ledger, log, first + len(log) - 1, NOW)
    return [(each.recommendation_id, each.position) for each in found.attributed]


def test_an_interaction_belongs_to_the_exposure_that_it_names(ledger):
    ledger.add_exposures(entries([exposure("old", at=NOW - 60), exposure("new")]))

    assert attributed(ledger, clicked("b", named="old"), clicked("b")) == [("old", 2), ("new", 2)]


def test_one_that_names_none_belongs_to_the_users_last_one_that_had_the_item(ledger):
    shown = [exposure("1", items=["a"]), exposure("2", items=["b"], at=NOW + 1), exposure("3", "v", ["a"], at=NOW + 1)]
    ledger.add_exposures(entries(shown))

    assert attributed(ledger, clicked("a", NOW + 2), clicked("c", NOW + 2)) == [("1", 1), (None, None)]


def test_the_window_ends_when_it_says(ledger):
    ledger.add_exposures(entries([exposure("1")]))

    assert attributed(ledger, clicked(at=NOW + WINDOW_S), clicked(at=NOW + WINDOW_S + 1)) == [("1", 1), (None, None)]


def test_a_clients_clock_may_be_a_little_behind(ledger):
    ledger.add_exposures(entries([exposure("1"), exposure("2", at=NOW + 1)]))

    assert attributed(ledger, clicked(at=NOW - 1), clicked(at=NOW - CLOCK_SKEW_S - 1)) == [("1", 1), (None, None)]


def test_a_late_interaction_counts_by_its_own_time(ledger):
    ledger.add_exposures(entries([exposure("1"), exposure("2", at=NOW + 7200)]))

    assert attributed(ledger, clicked(at=NOW + 5)) == [("1", 1)]


def test_nobody_takes_anothers_exposure_but_an_anonymous_one_may_be_named(ledger):
    ledger.add_exposures(entries([exposure("theirs", "v"), exposure("nobodys", None)]))

    assert attributed(ledger, clicked(named="theirs"), clicked(named="nobodys")) == [(None, None), ("nobodys", 1)]


def test_a_named_exposure_without_the_item_has_no_position(ledger):
    ledger.add_exposures(entries([exposure("1")]))

    assert attributed(ledger, clicked("z", named="1")) == [("1", None)]


def test_pages_that_come_again_count_once(ledger):
    page = entries([exposure("1"), exposure("1"), exposure("2")])
    log = [LogEntry(1, clicked()), LogEntry(2, clicked())]
    for _ in range(3):
        ledger.add_exposures(page)
        attribute(ledger, log, 2, NOW)

    assert ledger.read("SELECT exposures FROM cells") == [(2,)]
    assert ledger.read("SELECT interactions, hits FROM cell_events WHERE position = 0") == [(2, 1)]


def test_what_cannot_be_read_is_passed_over(ledger):
    good, bad = entries([exposure("1"), exposure("2")])

    assert ledger.add_exposures([good, bad._replace(packed=b"?")]) == 1
    assert ledger.offsets().stream == 2


def test_a_store_that_has_come_back_with_less_is_followed_from_there(ledger):
    attribute(ledger, [], 100, NOW)
    ledger.restart_log(3)

    assert ledger.offsets().log == 3


users, items = st.sampled_from(["u", "v", None]), st.sampled_from("abc")
moments = st.integers(0, 40).map(lambda step: NOW + step * 100.0)


@st.composite
def worlds(draw):
    shown = [
        exposure(str(number), draw(users), draw(st.lists(items, unique=True, max_size=3)), draw(moments))
        for number in range(draw(st.integers(0, 8)))
    ]
    names = st.sampled_from([None, *(each.recommendation_id for each in shown), "unknown"])
    log = []
    for offset in range(1, draw(st.integers(1, 12))):
        user = draw(st.sampled_from(["u", "v"]))
        deleted = draw(st.integers(0, 9)) == 0
        event = UserDeleted(user) if deleted else clicked(draw(items), draw(moments), user, draw(names))
        log.append(LogEntry(offset, event))
    return shown, log, draw(st.integers(1, 5))


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_it_is_what_a_look_through_everything_finds(world):
    shown, log, size = world
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l")
        ledger.add_exposures(entries(shown))
        found = {}
        for start in range(0, len(log), size):
            page = log[start : start + size]
            outcome = attribute(ledger, page, page[-1].offset, NOW)
            found |= {each.offset: (each.recommendation_id, each.position) for each in outcome.attributed}
        ledger.close()

    assert {offset: each for offset, each in found.items() if each[0] is not None} == slow_attribution(shown, log)
